"""A small flow of couplings on one-hot text with uniform noise: the other rival of argmax_coupling.py.

  python -m launch.train --config=configs/text8_head/uniform_coupling.py --workdir=runs/a \\
    --config.data.path=text8_head
"""

from ml_collections import ConfigDict

from configs.text8_head import variational_coupling


def get_config() -> ConfigDict:
  config = variational_coupling.get_config()
  config.model.noise = "uniform"
  del config.model.encoder
  return config
