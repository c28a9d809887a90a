"""Argmax flow of couplings on enwik8 (Hoogeboom et al., 2021, Table 2), as published.

  python -m launch.train --config=configs/paper/enwik8_argmax_coupling.py --workdir=runs/a

Published: 1.93 bits per byte on the test split, an ELBO (the paper's number). As on text8, with 8 bits and LSTMs of
768. 181,809,344 parameters: the original's 182,005,952 less its second LSTM biases. 20 epochs of 8,790 steps of 32
sequences of 320 bytes; not run by this project.
"""

from ml_collections import ConfigDict

from configs import base
from configs.paper import text8_argmax_coupling

_STEPS_PER_EPOCH = 8_790


def get_config() -> ConfigDict:
  config = text8_argmax_coupling.get_config()
  config.data = base.enwik8()
  config.model.density.conditioner.update(
    {"hidden_width": 384, "width": 384, "time_width": 96, "lstm_width": 768, "input_dropout": 0.1}
  )
  config.training.update({"batch_size": 32, "num_steps": 20 * _STEPS_PER_EPOCH, "validate_every": _STEPS_PER_EPOCH})
  return config
