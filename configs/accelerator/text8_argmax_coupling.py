"""Argmax flow of couplings on text8 with transformers: no loop over positions, in training or in sampling.

  python -m launch.train --config=configs/accelerator/text8_argmax_coupling.py --workdir=runs/a

The published flow of configs/paper/text8_argmax_coupling.py otherwise, with random crops. Not run by this project yet.
"""

from ml_collections import ConfigDict

from configs import base
from configs.accelerator import text8_argmax_autoregressive


def get_config() -> ConfigDict:
  config = text8_argmax_autoregressive.get_config()
  config.model.encoder = {"kind": "per_position", "width": 512, "output_width": 128}
  config.model.density = base.coupling_density()
  config.model.density.conditioner = {
    "kind": "transformer",
    "width": 512,
    "num_layers": 4,
    "num_heads": 8,
    "dropout": 0.05,
    "dtype": "bfloat16",
  }
  return config
