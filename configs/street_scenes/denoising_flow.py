"""A denoising flow on street scenes: categories sorted by predictions at four resolutions, exact.

  python -m launch.train --config=street_scenes/denoising_flow --workdir=runs/denoising_flow

Expected: an exact number of bits per pixel to set beside the bounds of the other flows; not run by this project.
Cost: 6 to 16 minutes on one CPU core.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  conditioner = {"kind": "densenet", "width": 48, "num_layers": 2, "growth": 24}
  model = {"kind": "denoising_flow", "num_levels": 4, "num_sorted": 4, "conditioner": conditioner}
  return like("street_scenes/pixel_cnn", {"model": model})
