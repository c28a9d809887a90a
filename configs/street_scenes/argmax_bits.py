"""Argmax flow on street scenes over three bits a pixel instead of eight channels: smaller and faster.

  python -m launch.train --config=street_scenes/argmax_bits --workdir=runs/argmax_bits

Expected: 0.268 bits per pixel on the test split, an ELBO (measured, docs/RESULTS.md).
Cost: 6 to 16 minutes on one CPU core.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("street_scenes/argmax_softplus", {"model.base": 2})
