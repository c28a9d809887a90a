"""Masked diffusion on records, one a line: sentences, proteins, DNA; a small network for CPUs.

python -m launch.train --config=configs/text_lines.py --workdir=runs/mine --config.data.path=proteins.txt
"""

from ml_collections import ConfigDict

from configs import base, quickstart


def get_config() -> ConfigDict:
  config = quickstart.get_config()
  config.data = base.text_lines()
  config.model.update({"process": "absorbing", "schedule": "linear"})
  return config
