"""A small argmax flow of couplings, for ten minutes on a CPU core; samples in one pass.

The same flow, optimizer and number of training characters as the other two flows of couplings beside it.
"""

from ml_collections import ConfigDict

from configs import base
from configs.text8_head import argmax_autoregressive


def get_config() -> ConfigDict:
  config = argmax_autoregressive.get_config()
  config.model.encoder = {"kind": "per_position", "width": 128, "output_width": 64}
  config.model.density = base.coupling_density()
  config.model.density.update({"num_layers": 4, "num_mixtures": 8})
  config.model.density.conditioner.update(
    {"hidden_width": 64, "width": 96, "time_width": 32, "lstm_width": 96, "num_layers": 1}
  )
  return config
