"""Cartesian products on text8, base 2 (Hoogeboom et al., 2021, Table 9): 27 classes as 5 bits.

  python -m launch.train --config=configs/paper/text8_argmax_base2.py --workdir=runs/a

Published: 1.44 bits per character (the paper's number), by a flow that is smaller than that of Table 2 and not
described. Decided here: half the widths of text8_argmax_autoregressive.py, all else the same; softplus thresholding in
every base, over all M channels of a digit, for bits over one. Not run by this project.
"""

from ml_collections import ConfigDict

from configs.paper import text8_argmax_autoregressive


def get_config() -> ConfigDict:
  config = text8_argmax_autoregressive.get_config()
  config.model.density.update({"num_features": 512, "hidden_width": 256, "channel_features": 48})
  config.model.density.conditioner.update({"hidden_width": 512, "width": 512, "time_width": 128, "lstm_width": 1024})
  return config
