"""A small U-Net in multinomial diffusion on street scenes.

  python -m launch.train --config=street_scenes/multinomial --workdir=runs/multinomial

Expected: 0.265 bits per pixel on the test split, an ELBO (measured, docs/RESULTS.md).
Cost: 4 to 8 minutes on one CPU core.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "street_scenes"},
      "model": {
        "kind": "diffusion",
        "network": {"kind": "unet", "widths": (32, 64, 96), "patch_size": 2, "num_layers": 3},
      },
      "optimizer": {"kind": "muon", "warmup_steps": 50},
      "training": {"batch_size": 4, "num_steps": 3000, "validation_examples": 128, "ema_decay": 0.99},
      "evaluation": {"num_draws": 4},
      "sampling": {"num_samples": 16, "batch_size": 16, "num_steps": 250},
    }
  )
