"""A causal transformer over the pixels of street scenes, row by row: an exact row, with distances in two dimensions.

  python -m launch.train --config=street_scenes/raster_transformer --workdir=runs/raster_transformer

Expected: 0.176 bits per pixel of the test maps, exact (measured, docs/RESULTS.md).
Cost: about 2 hours on one CPU core, since every pixel attends to the 2,047 others.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  network = {"kind": "transformer", "width": 64, "num_layers": 3, "num_heads": 2}
  return like("street_scenes/pixel_cnn", {"model.network": network})
