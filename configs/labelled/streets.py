"""Masked diffusion on street scenes that are labelled by whether a person is seen in them.

  python -m launch.train --config=labelled/streets --workdir=runs/streets
  python -m launch.sample --workdir=runs/streets --given=human=no --guidance=2

But for the label all is as in street_scenes/absorbing.py.

Expected: no number yet.
Cost: 4 to 8 minutes on one CPU core.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("street_scenes/absorbing", {"data.labels": "human"})
