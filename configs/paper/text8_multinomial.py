"""Multinomial text diffusion on text8 (Hoogeboom et al., 2021, Tables 2 and 3), as published.

  python -m launch.train --config=configs/paper/text8_multinomial.py --workdir=runs/text8_multinomial

Published: 1.72 bits per character on the test split (the paper's number). 51,545,116 parameters, T = 1000, 300 epochs
of 10,987 steps. Cost: about 6e18 FLOPs, that is days on one GPU of 2021 and hours on one of 2024; not run by this
project.
"""

from ml_collections import ConfigDict

from configs import base

_STEPS_PER_EPOCH = 10_987


def get_config() -> ConfigDict:
  config = base.get_config()
  config.data = base.text8()
  config.model.update({"schedule": "paper_cosine", "num_steps": 1000, "time_sampler": "importance"})
  config.model.network = base.local_linear_transformer()
  config.optimizer.update(
    {"name": "adam", "learning_rate": 1e-4, "decay": "exponential", "decay_rate": 0.99, "decay_steps": _STEPS_PER_EPOCH}
  )
  config.training.update(
    {"batch_size": 32, "num_steps": 300 * _STEPS_PER_EPOCH, "crops": False, "validate_every": _STEPS_PER_EPOCH}
  )
  return config
