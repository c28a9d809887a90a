"""Masked diffusion on text8 with a transformer of a billion parameters and windows of 1024 characters.

  python -m launch.train --config=accelerator/text8_billion --dry_run --topology=tpu:v5e:4x4 --config.mesh.fsdp=16

To see what fits, and what is exchanged, before machines are rented: text8 has too few characters for so many
parameters. Layers are one scanned body, recomputed in the backward pass.

Expected: worse than accelerator/text8_diffusion on held-out text, by overfitting; not run by this project.
Cost: about 2.5e20 FLOPs, six per parameter and position: a week on one accelerator of 2024.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "text8", "length": 1024},
      "model": {
        "kind": "diffusion",
        "process": "absorbing",
        "schedule": "linear",
        "network": {
          "kind": "transformer",
          "width": 2048,
          "num_layers": 20,
          "num_heads": 16,
          "dtype": "bfloat16",
          "remat": "full",
          "scan_layers": True,
        },
      },
      "optimizer": {
        "kind": "adamw",
        "learning_rate": 2e-4,
        "warmup_steps": 2000,
        "weight_decay": 0.03,
        "clip_norm": 1.0,
      },
      "training": {"batch_size": 256, "num_steps": 150_000, "validate_every": 5000, "ema_decay": 0.999},
    }
  )
