"""The exact row on the ring of eight Gaussians: each coordinate given those before it.

  python -m launch.train --config=ring/autoregressive --workdir=runs/ring_autoregressive

Expected: 4.560 bits per value over all points, exact; the entropy is 4.5589 (measured, docs/RESULTS.md).
Cost: 2 minutes on two CPU cores.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "ring"},
      "model": {"kind": "autoregressive", "network": {"kind": "per_position", "width": 128}},
      "optimizer": {"kind": "adam", "learning_rate": 3e-3},
      "training": {"batch_size": 512, "num_steps": 2000, "validate_every": 500, "ema_decay": 0.99},
      "evaluation": {"batch_size": 512},
    }
  )
