"""Masked diffusion on text8 with the default transformer at the size of a small language model, in bfloat16.

  python -m launch.train --config=accelerator/text8_diffusion --workdir=runs/a
  python -m launch.train --config=accelerator/text8_diffusion --dry_run --topology=tpu:v5e:4x4

Expected: below the 1.72 bits per character of the paper's multinomial diffusion (the paper's number); not run by this
project.
Cost: about 1e19 FLOPs, six per parameter and position: hours on one accelerator of 2024.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "text8"},
      "model": {
        "kind": "diffusion",
        "process": "absorbing",
        "schedule": "linear",
        "network": {"kind": "transformer", "width": 768, "num_layers": 12, "num_heads": 12, "dtype": "bfloat16"},
      },
      "optimizer": {
        "kind": "adamw",
        "learning_rate": 5e-4,
        "warmup_steps": 2000,
        "weight_decay": 0.03,
        "clip_norm": 1.0,
      },
      "training": {"batch_size": 512, "num_steps": 150_000, "validate_every": 5000, "ema_decay": 0.999},
    }
  )
