"""Small autoregressive flow on one-hot text with variational dequantization: the rival of argmax_autoregressive.py."""

from ml_collections import ConfigDict

from configs import base
from configs.text8_head import argmax_autoregressive


def get_config() -> ConfigDict:
  config = argmax_autoregressive.get_config()
  config.model = base.dequantized(config.model, "variational")
  return config
