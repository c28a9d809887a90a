"""Masked diffusion on integers of any shape from a .npy or .npz file; a small network for CPUs.

  python -m launch.train --config=array_file --workdir=runs/mine --config.data.path=levels.npy

Ids: --config.data.ignore=-100 leaves out positions, --config.data.relabel=true numbers values that are far apart.

Expected: bits per value below those of counts (`launch.baselines`); not run by this project.
Cost: about 7 minutes on two CPU cores where an example has 64 positions, in proportion where it has others.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "array_file"},
      "model": {
        "kind": "diffusion",
        "process": "absorbing",
        "schedule": "linear",
        "network": {"kind": "transformer", "conv_width": 5},
      },
      "optimizer": {"kind": "muon", "learning_rate": 1.2e-2, "adam_learning_rate": 3e-3, "warmup_steps": 50},
      "training": {"num_steps": 1600, "validate_every": 400},
      "evaluation": {"num_draws": 4},
    }
  )
