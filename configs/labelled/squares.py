"""Masked diffusion on squares that are labelled by how many categories of them are seen.

  python -m launch.train --config=labelled/squares --workdir=runs/squares
  python -m launch.sample --workdir=runs/squares --given=number=3 --guidance=2

Expected: no number yet.
Cost: about 5 minutes on one CPU core.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like(
    "street_scenes/absorbing",
    {
      "data": {"kind": "squares", "labels": True, "splits": (20_000, 500, 500)},
      "model.network.widths": (32, 64),
      "model.network.patch_size": 1,
      "training.batch_size": 16,
      "training.num_steps": 2000,
    },
  )
