"""Autoregressive flow on one-hot enwik8 with uniform dequantization (Hoogeboom et al., 2021, Table 2).

  python -m launch.train --config=configs/paper/enwik8_uniform_autoregressive.py --workdir=runs/a

Published: 2.14 bits per byte on the test split, an ELBO (the paper's number). Decided here, where the paper is
silent: all but the noise is as in enwik8_variational_autoregressive.py. Not run by this project.
"""

from ml_collections import ConfigDict

from configs import base
from configs.paper import enwik8_variational_autoregressive


def get_config() -> ConfigDict:
  config = enwik8_variational_autoregressive.get_config()
  config.model = base.dequantized(config.model, "uniform")
  return config
