"""Flow on one-hot Cityscapes with variational dequantization (Hoogeboom et al., 2021, Table 4: Round / Var.).

  python -m launch.train --config=paper/cityscapes_round_variational --workdir=runs/cityscapes_round_variational

Decided here, where the paper is silent: the noise is the sigmoid of the flow of cityscapes_argmax_softplus.py and
starts as a logistic, so that its weights have a finite variance; all else is as there.

Expected: 0.334 bits per pixel on the test split as an ELBO, 0.315 with 1000 importance weights (the paper's numbers;
not run by this project).
Cost: about 1.6e18 FLOPs.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("paper/cityscapes_argmax_softplus", {"model.kind": "dequantized_flow", "model.noise": "variational"})
