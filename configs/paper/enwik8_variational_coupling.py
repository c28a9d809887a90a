"""Flow of couplings on one-hot enwik8 with variational dequantization (Hoogeboom et al., 2021, Table 2).

  python -m launch.train --config=paper/enwik8_variational_coupling --workdir=runs/enwik8_variational_coupling

The paper says that the flow is the argmax row's, on 256 channels, and no more. Decided here: encoder, density,
optimizer, batch and epochs are those of enwik8_argmax_coupling.py; the noise is the sigmoid of a logistic.

Expected: 2.28 bits per byte on the test split, an ELBO (the paper's number; not run by this project).
Cost: about 2.5e18 FLOPs.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like(
    "paper/enwik8_argmax_coupling", {"model.kind": "dequantized_flow", "model.noise": "variational", "model.base": 0}
  )
