"""A small flow of couplings on one-hot text with uniform noise: the other rival of argmax_coupling.py.

  python -m launch.train --config=text8_head/uniform_coupling --workdir=runs/a --config.data.path=text8_head

Expected: 7.20 bits per character on the test part, an ELBO, the mean of three seeds (measured, docs/RESULTS.md).
Cost: 7 to 13 minutes on one CPU core.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like(
    "text8_head/argmax_coupling",
    {"model.kind": "dequantized_flow", "model.noise": "uniform", "model.encoder": None, "model.base": 0},
  )
