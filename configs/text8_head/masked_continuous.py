"""Masked diffusion in continuous time on the head of text8, each example with a fixed number of masks.

  python -m launch.train --config=text8_head/masked_continuous --workdir=runs/masked --config.data.path=text8_head

The network and the optimizer of diffusion.py, a quarter of its steps. Independent masks, the same bound with more
noise: --config.model.time_sampler=stratified

Expected: 2.76 bits per character after 2000 steps, an ELBO (measured, docs/RESULTS.md).
Cost: about 14 minutes on one CPU core.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like(
    "text8_head/diffusion",
    {
      "model.process": "absorbing",
      "model.schedule": "linear",
      "model.num_steps": 0,
      "model.time_sampler": "fixed_count",
      "training.num_steps": 1000,
    },
  )
