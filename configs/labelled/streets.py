"""Masked diffusion on street scenes that are labelled by whether a person is seen in them.

  python -m launch.train --config=labelled/streets --workdir=runs/streets
  python -m launch.sample --workdir=runs/streets --given=human=no --guidance=2

Network, optimizer and number of maps are those of street_scenes/absorbing.py.

Expected: 0.273 bits per pixel given the labels, an ELBO (measured, docs/RESULTS.md).
After so few steps the label is hardly followed.
Cost: 4 to 8 minutes on one CPU core that is not disturbed.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "street_scenes", "labels": "human"},
      "model": {
        "kind": "diffusion",
        "process": "absorbing",
        "schedule": "linear",
        "network": {"kind": "unet", "widths": (32, 64, 96), "patch_size": 2, "num_layers": 3},
      },
      "optimizer": {"kind": "muon", "warmup_steps": 50},
      "training": {"batch_size": 4, "num_steps": 3000, "validation_examples": 128, "ema_decay": 0.99},
      "evaluation": {"num_draws": 4},
      "sampling": {"num_samples": 16, "batch_size": 16, "num_steps": 250},
    }
  )
