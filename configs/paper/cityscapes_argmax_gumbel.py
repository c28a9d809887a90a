"""Argmax flow on Cityscapes with the Gumbel distribution (Hoogeboom et al., 2021, Table 4).

  python -m launch.train --config=configs/paper/cityscapes_argmax_gumbel.py --workdir=runs/a

Published: 0.365 bits per pixel on the test split as an ELBO, 0.341 with 1000 importance weights (the paper's numbers).
q(v | x) are Gumbels conditioned on their argmax, from uniform noise without a flow. Decided here, where the paper is
silent: their locations are a table, the log-frequencies of the first batch at first, plus what the DenseNet on x gives;
all else is as in cityscapes_argmax_softplus.py. Not run by this project.
"""

from ml_collections import ConfigDict

from configs.paper import cityscapes_argmax_softplus


def get_config() -> ConfigDict:
  config = cityscapes_argmax_softplus.get_config()
  config.model.inverse = "gumbel"
  del config.model["posterior_flow"], config.model["num_context"]
  return config
