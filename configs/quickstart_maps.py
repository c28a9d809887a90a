"""Multinomial diffusion on street scenes, drawn by the program itself: a few minutes on two CPU cores.

python -m launch.train --config=configs/quickstart_maps.py --workdir=runs/maps
python -m launch.evaluate --workdir=runs/maps
python -m launch.sample --workdir=runs/maps        # leaves runs/maps/samples.png
"""

from ml_collections import ConfigDict

from configs.street_scenes import multinomial


def get_config() -> ConfigDict:
  config = multinomial.get_config()
  config.training.update({"batch_size": 16, "num_steps": 1600, "validate_every": 400})
  config.sampling.update({"num_samples": 24, "batch_size": 24})
  return config
