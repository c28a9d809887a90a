"""Flow on one-hot Cityscapes with uniform dequantization (Hoogeboom et al., 2021, Table 4: Round / Unif.).

  python -m launch.train --config=paper/cityscapes_round_uniform --workdir=runs/cityscapes_round_uniform

Density, optimizer and epochs are those of cityscapes_argmax_softplus.py, with what is decided there.

Expected: 1.010 bits per pixel on the test split as an ELBO, 0.930 with 1000 importance weights (the paper's numbers;
not run by this project).
Cost: about 1.4e18 FLOPs.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like(
    "paper/cityscapes_argmax_softplus",
    {
      "model.kind": "dequantized_flow",
      "model.noise": "uniform",
      "model.encoder": None,
      "model.posterior_flow": None,
      "model.num_context": 0,
    },
  )
