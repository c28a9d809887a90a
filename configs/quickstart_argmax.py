"""The data and the time of the quick start with an autoregressive argmax flow: five bits a character.

python -m launch.train --config=configs/quickstart_argmax.py --workdir=runs/a
"""

from ml_collections import ConfigDict

from configs import quickstart
from configs.text8_head import argmax_autoregressive


def get_config() -> ConfigDict:
  config = argmax_autoregressive.get_config()
  config.data = quickstart.get_config().data
  config.training.update({"num_steps": 1600, "validate_every": 400})
  return config
