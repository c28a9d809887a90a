"""The diffusion model of text8_head/diffusion with letters that are masked, and some replaced.

  python -m launch.train --config=text8_head/hybrid --workdir=runs/hybrid --config.data.path=text8_head
  python -m launch.sample --workdir=runs/hybrid --correction=0.1      # samples that correct themselves

Expected: 2.90 bits per character after 2000 steps, an ELBO (measured, docs/RESULTS.md).
Cost: as text8_head/diffusion, about 54 minutes on one CPU core.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("text8_head/diffusion", {"model.process": "hybrid", "model.schedule": "linear"})
