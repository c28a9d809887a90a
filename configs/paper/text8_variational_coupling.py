"""Flow of couplings on one-hot text8 with variational dequantization (Hoogeboom et al., 2021, Table 2).

  python -m launch.train --config=paper/text8_variational_coupling --workdir=runs/text8_variational_coupling

The paper says that the flow is the argmax row's, on 27 channels, and no more. Decided here: encoder, density,
optimizer, batch and epochs are those of text8_argmax_coupling.py; the noise is the sigmoid of a logistic.

Expected: 2.08 bits per character on the test split, an ELBO (the paper's number; not run by this project).
Cost: about 2e18 FLOPs.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like(
    "paper/text8_argmax_coupling", {"model.kind": "dequantized_flow", "model.noise": "variational", "model.base": 0}
  )
