"""Multinomial diffusion on the documentation inside Python, for two CPU cores.

python -m launch.train --config=configs/quickstart.py --workdir=runs/quickstart
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
  config = base.get_config()
  config.data.length = 64
  config.model.schedule = "cosine"
  config.model.network.update({"width": 128, "num_layers": 4, "num_heads": 4, "conv_width": 5})
  config.optimizer.update({"name": "muon", "learning_rate": 1.2e-2, "adam_learning_rate": 3e-3, "warmup_steps": 50})
  config.training.update({"batch_size": 32, "num_steps": 1600, "validate_every": 400})
  config.evaluation.num_draws = 4
  return config
