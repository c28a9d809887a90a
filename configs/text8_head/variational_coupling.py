"""A small flow of couplings on one-hot text with variational dequantization: the rival of argmax_coupling.py."""

from ml_collections import ConfigDict

from configs import base
from configs.text8_head import argmax_coupling


def get_config() -> ConfigDict:
  config = argmax_coupling.get_config()
  config.model = base.dequantized(config.model, "variational")
  return config
