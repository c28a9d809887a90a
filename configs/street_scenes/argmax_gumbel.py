"""Argmax flow on street scenes with Gumbels conditioned on their argmax: no flow in q(v | x).

  python -m launch.train --config=street_scenes/argmax_gumbel --workdir=runs/argmax_gumbel

Expected: 0.360 bits per pixel on the test split, an ELBO (measured, docs/RESULTS.md).
Cost: 6 to 16 minutes on one CPU core.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like(
    "street_scenes/argmax_softplus", {"model.inverse": "gumbel", "model.posterior_flow": None, "model.num_context": 0}
  )
