"""The quick start's reference row: an autoregressive transformer of the same size, with exact likelihood.

  python -m launch.train --config=quickstart_autoregressive --workdir=runs/autoregressive

Expected: fewer bits than quickstart.py, of which it is the exact rival; not run by this project.
Cost: about 7 minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("quickstart", {"model.kind": "autoregressive"})
