"""A small autoregressive flow on one-hot text with variational dequantization: the rival of argmax_autoregressive.py.

  python -m launch.train --config=configs/text8_head/variational_autoregressive.py --workdir=runs/a \\
    --config.data.path=text8_head
"""

from ml_collections import ConfigDict

from configs import base
from configs.text8_head import argmax_autoregressive


def get_config() -> ConfigDict:
  config = argmax_autoregressive.get_config()
  argmax, config.model = config.model, base.dequantized_flow()
  config.model.encoder, config.model.density = argmax.encoder, argmax.density
  return config
