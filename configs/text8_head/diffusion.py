"""A small modern network in multinomial or masked diffusion, for an hour on one CPU core.

Masked: --config.model.process=absorbing --config.model.schedule=linear
"""

from ml_collections import ConfigDict

from configs import base, quickstart


def get_config() -> ConfigDict:
  config = quickstart.get_config()
  config.data = base.text_file()
  config.data.update({"length": 128, "alphabet": "text8"})
  config.data.splits = (10_500_000, 600_000, 647_521)
  config.training.update({"num_steps": 4000, "validate_every": 500})
  return config
