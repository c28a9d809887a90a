"""Multinomial diffusion on a text file of yours; a small network for CPUs.

  python -m launch.train --config=configs/text_file.py --workdir=runs/mine --config.data.path=mine.txt

Any UTF-8 file (characters are inferred) or, with --config.data.alphabet=bytes, any file at all.
"""

from ml_collections import ConfigDict

from configs import base, quickstart


def get_config() -> ConfigDict:
  config = quickstart.get_config()
  length = config.data.length
  config.data = base.text_file()
  config.data.length = length
  return config
