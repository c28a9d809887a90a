"""Flow on one-hot Cityscapes with variational dequantization (Hoogeboom et al., 2021, Table 4: Round / Var.).

  python -m launch.train --config=configs/paper/cityscapes_round_variational.py --workdir=runs/a

Published: 0.334 bits per pixel on the test split as an ELBO, 0.315 with 1000 importance weights (the paper's numbers).
Decided here, where the paper is silent: the noise is the sigmoid of the flow of cityscapes_argmax_softplus.py and
starts as a logistic, so that its weights have a variance; all else is as there. Not run by this project.
"""

from ml_collections import ConfigDict

from configs import base
from configs.paper import cityscapes_argmax_softplus


def get_config() -> ConfigDict:
  config = cityscapes_argmax_softplus.get_config()
  config.model = base.dequantized(config.model, "variational")
  return config
