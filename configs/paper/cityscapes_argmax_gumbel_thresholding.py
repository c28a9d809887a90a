"""Argmax flow on Cityscapes with Gumbel thresholding (Hoogeboom et al., 2021, Table 4).

  python -m launch.train --config=configs/paper/cityscapes_argmax_gumbel_thresholding.py --workdir=runs/a

Published: 0.307 bits per pixel on the test split as an ELBO, 0.287 with 1000 importance weights (the paper's numbers).
Decided here, where the paper is silent: the flow of the noise in (0, 1) is the sigmoid of that of
cityscapes_argmax_softplus.py and starts as a logistic, so that its weights have a variance; all else is as there. Not
run by this project.
"""

from ml_collections import ConfigDict

from configs.paper import cityscapes_argmax_softplus


def get_config() -> ConfigDict:
  config = cityscapes_argmax_softplus.get_config()
  config.model.update({"inverse": "gumbel_thresholding", "noise_base": "logistic"})
  return config
