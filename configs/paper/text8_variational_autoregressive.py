"""Autoregressive flow on one-hot text8 with variational dequantization (Hoogeboom et al., 2021, Table 2).

  python -m launch.train --config=configs/paper/text8_variational_autoregressive.py --workdir=runs/a

Published: 1.43 bits per character on the test split, an ELBO (the paper's number). The paper says that the flow is the
argmax row's, on 27 channels, and no more. Decided here: encoder, density, optimizer, batch and epochs are those of
text8_argmax_autoregressive.py; the noise is the sigmoid of a logistic.
Not run by this project.
"""

from ml_collections import ConfigDict

from configs import base
from configs.paper import text8_argmax_autoregressive


def get_config() -> ConfigDict:
  config = text8_argmax_autoregressive.get_config()
  config.model = base.dequantized(config.model, "variational")
  return config
