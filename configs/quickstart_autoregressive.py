"""The quick start's reference row: an autoregressive transformer of the same size, with exact likelihood.

python -m launch.train --config=configs/quickstart_autoregressive.py --workdir=runs/autoregressive
"""

from ml_collections import ConfigDict

from configs import base, quickstart


def get_config() -> ConfigDict:
  config = quickstart.get_config()
  sizes = {key: config.model.network[key] for key in ("width", "num_layers", "num_heads", "conv_width")}
  config.model = base.autoregressive()
  config.model.network.update(sizes)
  return config
