"""The quick start with masked instead of multinomial diffusion, in continuous time.

python -m launch.train --config=configs/quickstart_absorbing.py --workdir=runs/absorbing
"""

from ml_collections import ConfigDict

from configs import quickstart


def get_config() -> ConfigDict:
  config = quickstart.get_config()
  config.model.update({"process": "absorbing", "schedule": "linear", "num_steps": 0})
  return config
