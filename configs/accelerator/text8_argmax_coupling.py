"""Argmax flow of couplings on text8 with transformers: no loop over positions, in training or in sampling.

  python -m launch.train --config=accelerator/text8_argmax_coupling --workdir=runs/a

The published flow of configs/paper/text8_argmax_coupling.py otherwise, with random crops.

Expected: below the 1.82 bits per character of the published flow (the paper's number); not run by this project.
Cost: about 8e18 FLOPs, six per parameter and position: hours on one accelerator of 2024.
"""

from ml_collections import ConfigDict

from catgen.config import like

_CONDITIONER = {
  "kind": "transformer",
  "width": 512,
  "num_heads": 8,
  "dropout": 0.05,
  "dtype": "bfloat16",
}


def get_config() -> ConfigDict:
  return like(
    "accelerator/text8_argmax_autoregressive",
    {
      "model.encoder": {"kind": "per_position"},
      "model.density": {"kind": "coupling", "conditioner": _CONDITIONER},
    },
  )
