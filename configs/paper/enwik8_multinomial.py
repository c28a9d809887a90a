"""Multinomial diffusion of bytes on enwik8 (Hoogeboom et al., 2021, Tables 2 and 3), as published.

  python -m launch.train --config=configs/paper/enwik8_multinomial.py --workdir=runs/enwik8_multinomial

Published: 1.75 bits per byte on the test split (the paper's number). 51,756,289 parameters, T = 4000, sequences of
320 bytes, local windows of 80, 300 epochs of 8,790 steps. Cost: about 6e18 FLOPs; not run by this project.
"""

from ml_collections import ConfigDict

from configs import base
from configs.paper import text8_multinomial

_STEPS_PER_EPOCH = 8_790


def get_config() -> ConfigDict:
  config = text8_multinomial.get_config()
  config.data = base.enwik8()
  config.model.num_steps = 4000
  config.model.network.window = 80
  config.optimizer.decay_steps = _STEPS_PER_EPOCH
  config.training.update({"num_steps": 300 * _STEPS_PER_EPOCH, "validate_every": _STEPS_PER_EPOCH})
  return config
