"""Multinomial diffusion on the documentation inside Python, for two CPU cores.

  python -m launch.train --config=quickstart --workdir=runs/quickstart

Expected: 2.71 bits per character on the test split, an ELBO (measured, docs/RESULTS.md); bigram counts need 3.40.
Cost: 7 minutes on two CPU cores.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "stdlib_docs", "length": 64},
      "model": {
        "kind": "diffusion",
        "network": {"kind": "transformer", "conv_width": 5},
      },
      "optimizer": {"kind": "muon", "learning_rate": 1.2e-2, "adam_learning_rate": 3e-3, "warmup_steps": 50},
      "training": {"num_steps": 1600, "validate_every": 400},
      "evaluation": {"num_draws": 4},
    }
  )
