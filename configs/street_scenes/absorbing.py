"""Masked diffusion on street scenes: multinomial.py with another process."""

from ml_collections import ConfigDict

from configs.street_scenes import multinomial


def get_config() -> ConfigDict:
  config = multinomial.get_config()
  config.model.update({"process": "absorbing", "schedule": "linear"})
  return config
