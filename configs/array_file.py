"""Masked diffusion on integers of any shape from a .npy or .npz file; a small network for CPUs.

python -m launch.train --config=configs/array_file.py --workdir=runs/mine --config.data.path=levels.npy
"""

from ml_collections import ConfigDict

from configs import base, quickstart


def get_config() -> ConfigDict:
  config = quickstart.get_config()
  config.data = base.array_file()
  config.model.update({"process": "absorbing", "schedule": "linear"})
  return config
