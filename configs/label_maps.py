"""Multinomial diffusion on label maps of yours: a folder of PNG files, a .npy or a .npz; a small network.

  python -m launch.train --config=configs/label_maps.py --workdir=runs/maps --config.data.path=folder_or_file

Height and width must be multiples of 4: --config.data.shape="(32, 64)" brings maps to a size.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
  config = base.get_config()
  config.data = base.label_maps()
  config.model.network = base.unet()
  config.model.network.update({"patch_size": 2, "widths": (64, 128)})
  config.optimizer.update({"name": "muon", "learning_rate": 1e-2, "adam_learning_rate": 2e-3, "warmup_steps": 50})
  config.training.update({"batch_size": 16, "num_steps": 2000, "validate_every": 500, "validation_examples": 64})
  config.evaluation.update({"num_draws": 4, "max_examples": 64})
  return config
