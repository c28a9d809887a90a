"""The quick start with masked instead of multinomial diffusion, in continuous time.

  python -m launch.train --config=quickstart_absorbing --workdir=runs/absorbing

Expected: fewer bits than quickstart.py, as on text8_head; not run by this project.
Cost: about 7 minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("quickstart", {"model.process": "absorbing", "model.schedule": "linear", "model.num_steps": 0})
