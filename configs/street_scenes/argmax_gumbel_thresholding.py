"""Argmax flow on street scenes with thresholding by Gumbels.

  python -m launch.train --config=street_scenes/argmax_gumbel_thresholding --workdir=runs/argmax_gumbel_thresholding

Expected: 0.312 bits per pixel on the test split, an ELBO (measured, docs/RESULTS.md).
Cost: 6 to 16 minutes on one CPU core.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("street_scenes/argmax_softplus", {"model.inverse": "gumbel_thresholding", "model.noise_base": "logistic"})
