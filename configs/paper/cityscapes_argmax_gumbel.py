"""Argmax flow on Cityscapes with the Gumbel distribution (Hoogeboom et al., 2021, Table 4).

  python -m launch.train --config=paper/cityscapes_argmax_gumbel --workdir=runs/cityscapes_argmax_gumbel

q(v | x) are Gumbels conditioned on their argmax, from uniform noise without a flow. Decided here, where the paper is
silent: their locations are a table, the log-frequencies of the first batch at first, plus what the DenseNet on x gives;
all else is as in cityscapes_argmax_softplus.py.

Expected: 0.365 bits per pixel on the test split as an ELBO, 0.341 with 1000 importance weights (the paper's numbers;
not run by this project).
Cost: about 1.4e18 FLOPs.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like(
    "paper/cityscapes_argmax_softplus",
    {"model.inverse": "gumbel", "model.posterior_flow": None, "model.num_context": 0},
  )
