"""Argmax flow on Cityscapes with Gumbel thresholding (Hoogeboom et al., 2021, Table 4).

  python -m launch.train --config=paper/cityscapes_argmax_gumbel_thresholding --workdir=runs/a

Decided here, where the paper is silent: the flow of the noise in (0, 1) is the sigmoid of that of
cityscapes_argmax_softplus.py and starts as a logistic, so that its weights have a finite variance; all else is as
there.

Expected: 0.307 bits per pixel on the test split as an ELBO, 0.287 with 1000 importance weights (the paper's numbers;
not run by this project).
Cost: about 1.6e18 FLOPs.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like(
    "paper/cityscapes_argmax_softplus", {"model.inverse": "gumbel_thresholding", "model.noise_base": "logistic"}
  )
