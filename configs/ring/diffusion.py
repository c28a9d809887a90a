"""Multinomial diffusion on the ring of eight Gaussians, with a transformer that sees both coordinates.

  python -m launch.train --config=ring/diffusion --workdir=runs/ring_diffusion

Expected: 4.572 bits per value, an ELBO, where the entropy is 4.5589 (measured, docs/RESULTS.md).
Cost: 5 to 14 minutes on one or two CPU cores.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "ring"},
      "model": {
        "kind": "diffusion",
        "network": {"kind": "transformer", "width": 64, "num_layers": 2},
        "num_steps": 100,
      },
      "optimizer": {"kind": "adam", "learning_rate": 3e-3, "warmup_steps": 100},
      "training": {"batch_size": 512, "num_steps": 3000, "ema_decay": 0.99},
      "evaluation": {"num_draws": 8, "batch_size": 512},
    }
  )
