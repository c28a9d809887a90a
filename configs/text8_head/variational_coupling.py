"""A small flow of couplings on one-hot text with variational dequantization: the rival of argmax_coupling.py.

  python -m launch.train --config=configs/text8_head/variational_coupling.py --workdir=runs/a \\
    --config.data.path=text8_head
"""

from ml_collections import ConfigDict

from configs import base
from configs.text8_head import argmax_coupling


def get_config() -> ConfigDict:
  config = argmax_coupling.get_config()
  argmax, config.model = config.model, base.dequantized_flow()
  config.model.encoder, config.model.density = argmax.encoder, argmax.density
  return config
