"""A small flow on one-hot street scenes with uniform noise: a rival of argmax_softplus.py."""

from ml_collections import ConfigDict

from configs import base
from configs.street_scenes import argmax_softplus


def get_config() -> ConfigDict:
  config = argmax_softplus.get_config()
  config.model = base.dequantized(config.model, "uniform")
  return config
