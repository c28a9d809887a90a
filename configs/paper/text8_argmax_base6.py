"""Cartesian products on text8, base 6 (Hoogeboom et al., 2021, Table 9): 27 classes as 2 digits of base 6 (36 codes).

  python -m launch.train --config=paper/text8_argmax_base6 --workdir=runs/text8_argmax_base6

Decisions as in text8_argmax_base2.py.

Expected: 1.44 bits per character (the paper's number; not run by this project).
Cost: about 4e17 FLOPs.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("paper/text8_argmax_base2", {"model.base": 6})
