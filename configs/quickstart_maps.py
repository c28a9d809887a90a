"""Multinomial diffusion on street scenes, drawn by the program itself.

  python -m launch.train --config=quickstart_maps --workdir=runs/maps
  python -m launch.evaluate --workdir=runs/maps
  python -m launch.sample --workdir=runs/maps        # leaves runs/maps/samples.png

Expected: 0.247 bits per pixel on the test split, an ELBO (measured, docs/RESULTS.md); counts given four neighbors need
0.288.
Cost: 4 minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like(
    "street_scenes/multinomial",
    {
      "training.batch_size": 16,
      "training.num_steps": 1600,
      "training.validate_every": 400,
      "sampling.num_samples": 24,
      "sampling.batch_size": 24,
    },
  )
