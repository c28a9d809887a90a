"""Flow on one-hot Cityscapes with uniform dequantization (Hoogeboom et al., 2021, Table 4: Round / Unif.).

  python -m launch.train --config=configs/paper/cityscapes_round_uniform.py --workdir=runs/a

Published: 1.010 bits per pixel on the test split as an ELBO, 0.930 with 1000 importance weights (the paper's numbers).
Density, optimizer and epochs are those of cityscapes_argmax_softplus.py, with what is decided there. Not run by this
project.
"""

from ml_collections import ConfigDict

from configs import base
from configs.paper import cityscapes_argmax_softplus


def get_config() -> ConfigDict:
  config = cityscapes_argmax_softplus.get_config()
  config.model = base.dequantized(config.model, "uniform")
  return config
