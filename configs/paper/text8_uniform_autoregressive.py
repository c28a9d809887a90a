"""Autoregressive flow on one-hot text8 with uniform dequantization (Hoogeboom et al., 2021, Table 2).

  python -m launch.train --config=paper/text8_uniform_autoregressive --workdir=runs/text8_uniform_autoregressive

Decided here, where the paper is silent: all but the noise is as in text8_variational_autoregressive.py.

Expected: 1.90 bits per character on the test split, an ELBO (the paper's number; not run by this project).
Cost: about 2.5e18 FLOPs.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like(
    "paper/text8_argmax_autoregressive",
    {"model.kind": "dequantized_flow", "model.noise": "uniform", "model.encoder": None, "model.base": 0},
  )
