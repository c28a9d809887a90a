"""A discrete flow on the ring of eight Gaussians: one layer that shifts, and independent categories at its base.

  python -m launch.train --config=ring/discrete_flow --workdir=runs/ring_discrete_flow

Expected: at best 4.8354 bits per value, more from most starts; not run by this project.
Cost: 1 minutes on two CPU cores.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "ring"},
      "model": {
        "kind": "discrete_flow",
        "scale": False,
        "conditioner": {"kind": "per_position", "width": 64, "output_width": 64},
      },
      "optimizer": {"kind": "adam", "learning_rate": 1e-2},
      "training": {"batch_size": 512, "num_steps": 1000},
      "evaluation": {"batch_size": 512},
    }
  )
