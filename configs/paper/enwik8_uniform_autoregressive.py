"""Autoregressive flow on one-hot enwik8 with uniform dequantization (Hoogeboom et al., 2021, Table 2).

  python -m launch.train --config=paper/enwik8_uniform_autoregressive --workdir=runs/enwik8_uniform_autoregressive

Decided here, where the paper is silent: all but the noise is as in enwik8_variational_autoregressive.py.

Expected: 2.14 bits per byte on the test split, an ELBO (the paper's number; not run by this project).
Cost: about 2.5e18 FLOPs.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("paper/enwik8_variational_autoregressive", {"model.noise": "uniform", "model.encoder": None})
