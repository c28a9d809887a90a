"""Autoregressive flow on one-hot enwik8 with variational dequantization (Hoogeboom et al., 2021, Table 2).

  python -m launch.train --config=configs/paper/enwik8_variational_autoregressive.py --workdir=runs/a

Published: 1.44 bits per byte on the test split, an ELBO (the paper's number). The paper says that the flow is the
argmax row's, on 256 channels, and no more. Decided here: encoder, density, optimizer, batch and epochs are those of
enwik8_argmax_autoregressive.py; the noise is the sigmoid of a logistic.

With 256 channels the argmax row's channel network would have three billion weights: here it is narrower, 64 hidden and
8 read features per channel: 118,189,920 parameters in all, about as many as text8_variational_autoregressive.py has.
Gradients are accumulated over four parts of a batch, for memory.
Not run by this project.
"""

from ml_collections import ConfigDict

from configs import base
from configs.paper import enwik8_argmax_autoregressive


def get_config() -> ConfigDict:
  config = enwik8_argmax_autoregressive.get_config()
  config.model = base.dequantized(config.model, "variational")
  config.model.density.update({"hidden_width": 64, "channel_features": 8})
  config.training.num_microbatches = 4
  return config
