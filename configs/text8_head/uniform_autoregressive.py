"""A small autoregressive flow on one-hot text with uniform noise: the other rival of argmax_autoregressive.py.

  python -m launch.train --config=configs/text8_head/uniform_autoregressive.py --workdir=runs/a \\
    --config.data.path=text8_head
"""

from ml_collections import ConfigDict

from configs.text8_head import variational_autoregressive


def get_config() -> ConfigDict:
  config = variational_autoregressive.get_config()
  config.model.noise = "uniform"
  del config.model.encoder
  return config
