"""Cartesian products on text8, base 27 (Hoogeboom et al., 2021, Table 9): 27 classes as one digit: no product.

  python -m launch.train --config=configs/paper/text8_argmax_base27.py --workdir=runs/a

Published: 1.45 bits per character (the paper's number). Decisions as in text8_argmax_base2.py. Not run by this project.
"""

from ml_collections import ConfigDict

from configs.paper import text8_argmax_base2


def get_config() -> ConfigDict:
  config = text8_argmax_base2.get_config()
  config.model.base = 27
  return config
