"""Autoregressive flow on one-hot text8 with uniform dequantization (Hoogeboom et al., 2021, Table 2).

  python -m launch.train --config=configs/paper/text8_uniform_autoregressive.py --workdir=runs/a

Published: 1.90 bits per character on the test split, an ELBO (the paper's number). Decided here, where the paper is
silent: all but the noise is as in text8_variational_autoregressive.py. Not run by this project.
"""

from ml_collections import ConfigDict

from configs import base
from configs.paper import text8_argmax_autoregressive


def get_config() -> ConfigDict:
  config = text8_argmax_autoregressive.get_config()
  config.model = base.dequantized(config.model, "uniform")
  return config
