"""Flow of couplings on one-hot enwik8 with uniform dequantization (Hoogeboom et al., 2021, Table 2).

  python -m launch.train --config=paper/enwik8_uniform_coupling --workdir=runs/enwik8_uniform_coupling

Decided here, where the paper is silent: all but the noise is as in enwik8_variational_coupling.py.

Expected: 2.33 bits per byte on the test split, an ELBO (the paper's number; not run by this project).
Cost: about 2.5e18 FLOPs.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like(
    "paper/enwik8_argmax_coupling",
    {"model.kind": "dequantized_flow", "model.noise": "uniform", "model.encoder": None, "model.base": 0},
  )
