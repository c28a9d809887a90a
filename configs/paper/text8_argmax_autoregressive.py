"""Autoregressive argmax flow on text8 (Hoogeboom et al., 2021, Table 2), as published.

  python -m launch.train --config=configs/paper/text8_argmax_autoregressive.py --workdir=runs/a
  python -m launch.evaluate --workdir=runs/a --estimator=iwbo --num_draws=1000

Published: 1.38 bits per character on the test split, an ELBO (the paper's number). Categories are 5 bits, the noise is
a Gaussian of a bidirectional LSTM, thresholded by softplus; p(v) is one autoregressive layer of 27 logistic mixtures
after two LSTMs of 2048. 69,925,823 parameters: the original's 70,799,679 less 20,480 second LSTM biases and 853,376
zeros of its block-diagonal matrices. 40 epochs of 5,494 steps; not run by this project.
"""

from ml_collections import ConfigDict

from configs import base

_STEPS_PER_EPOCH = 5_494


def get_config() -> ConfigDict:
  config = base.get_config()
  config.data = base.text8()
  config.model = base.argmax_flow()
  config.model.density.conditioner.input_dropout = 0.25
  config.optimizer.update(
    {
      "name": "adam",
      "learning_rate": 1e-3,
      "decay": "exponential",
      "decay_rate": 0.995,
      "decay_steps": _STEPS_PER_EPOCH,
    }
  )
  config.training.update(
    {"batch_size": 64, "num_steps": 40 * _STEPS_PER_EPOCH, "crops": False, "validate_every": _STEPS_PER_EPOCH}
  )
  return config
