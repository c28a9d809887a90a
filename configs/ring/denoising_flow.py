"""A denoising flow on the ring of eight Gaussians: one layer, which sorts the second coordinate given the first.

  python -m launch.train --config=ring/denoising_flow --workdir=runs/ring_denoising_flow

Expected: 4.610 bits per value, where 4.6078 are the least that one layer can do (measured, docs/RESULTS.md).
Cost: 1 to 5 minutes on one or two CPU cores.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "ring"},
      "model": {
        "kind": "denoising_flow",
        "num_layers": 1,
        "conditioner": {"kind": "transformer", "width": 64, "num_layers": 1},
      },
      "optimizer": {"kind": "adam", "learning_rate": 3e-3},
      "training": {"batch_size": 512, "num_steps": 2000, "ema_decay": 0.99},
      "evaluation": {"batch_size": 512},
    }
  )
