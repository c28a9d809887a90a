"""Label maps of yours, a folder of PNG files, a .npy or a .npz: by diffusion, or as a row of configs/street_scenes.

  python -m launch.train --config=configs/label_maps.py --workdir=runs/maps --config.data.path=folder_or_file
  python -m launch.train --config=configs/label_maps.py:argmax_softplus --workdir=runs/flow --config.data.path=...

Height and width must be multiples of 4, or of 32 for the flows: --config.data.shape="(32, 64)" brings maps to a size.
"""

import importlib

from ml_collections import ConfigDict

from configs import base, street_scenes


def get_config(model: str = "") -> ConfigDict:
  """Returns the configuration; `model` is the name of a file of configs/street_scenes, whose training it takes too."""
  if model:
    config = _row(model)
    config.data = base.label_maps()
    return config
  config = base.get_config()
  config.data = base.label_maps()
  config.model.network = base.unet()
  config.model.network.update({"patch_size": 2, "widths": (64, 128)})
  config.optimizer.update({"name": "muon", "learning_rate": 1e-2, "adam_learning_rate": 2e-3, "warmup_steps": 50})
  config.training.update({"batch_size": 16, "num_steps": 2000, "validate_every": 500, "validation_examples": 64})
  config.evaluation.update({"num_draws": 4, "max_examples": 64})
  return config


def _row(name: str) -> ConfigDict:
  if name not in street_scenes.ROWS:
    raise ValueError(f"label_maps.py:{name} does not exist; choose one of {', '.join(street_scenes.ROWS)}")
  return importlib.import_module(f"configs.street_scenes.{name}").get_config()
