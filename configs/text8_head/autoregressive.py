"""A small autoregressive transformer on the head of text8: the exact rival of the diffusion models.

  python -m launch.train --config=text8_head/autoregressive --workdir=runs/a --config.data.path=text8_head

The network and optimizer of diffusion.py, causal, on as many training characters as the flows see.

Expected: 2.06 bits per character on the test part, exact (measured, docs/RESULTS.md).
Cost: about 15 minutes on one CPU core.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("text8_head/diffusion", {"model.kind": "autoregressive", "training.num_steps": 1000})
