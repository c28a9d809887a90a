"""Cartesian products on text8, base 2 (Hoogeboom et al., 2021, Table 9): 27 classes as 5 bits.

  python -m launch.train --config=paper/text8_argmax_base2 --workdir=runs/text8_argmax_base2

The paper's flow is smaller than that of Table 2 and not described. Decided here: half the widths of
text8_argmax_autoregressive.py, all else the same; softplus thresholding in every base, over all M channels of a digit,
for bits over one.

Expected: 1.44 bits per character (the paper's number; not run by this project).
Cost: about 4e17 FLOPs.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like(
    "paper/text8_argmax_autoregressive",
    {
      "model.density.num_features": 512,
      "model.density.hidden_width": 256,
      "model.density.channel_features": 48,
      "model.density.conditioner.hidden_width": 512,
      "model.density.conditioner.width": 512,
      "model.density.conditioner.time_width": 128,
      "model.density.conditioner.lstm_width": 1024,
    },
  )
