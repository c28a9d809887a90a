"""Autoregressive argmax flow on enwik8 (Hoogeboom et al., 2021, Table 2), as published.

  python -m launch.train --config=configs/paper/enwik8_argmax_autoregressive.py --workdir=runs/a

Published: 1.42 bits per byte on the test split, an ELBO (the paper's number). As on text8, with 8 bits and 82 features
of a channel. 73,150,736 parameters: the original's 75,561,324 less 20,480 second LSTM biases and 2,390,108 zeros of its
block-diagonal matrices. 40 epochs of 4,395 steps of 64 sequences of 320 bytes; not run by this project.
"""

from ml_collections import ConfigDict

from configs import base
from configs.paper import text8_argmax_autoregressive

_STEPS_PER_EPOCH = 4_395


def get_config() -> ConfigDict:
  config = text8_argmax_autoregressive.get_config()
  config.data = base.enwik8()
  config.model.density.channel_features = 82
  config.optimizer.decay_steps = _STEPS_PER_EPOCH
  config.training.update({"num_steps": 40 * _STEPS_PER_EPOCH, "validate_every": _STEPS_PER_EPOCH})
  return config
