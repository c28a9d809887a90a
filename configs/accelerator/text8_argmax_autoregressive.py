"""Autoregressive argmax flow on text8 with transformers instead of LSTMs: a training step has no loop over positions.

  python -m launch.train --config=accelerator/text8_argmax_autoregressive --workdir=runs/a

The published flow of configs/paper/text8_argmax_autoregressive.py otherwise, with random crops. A sample is one scan
with a key and value cache.

Expected: below the 1.38 bits per character of the published flow (the paper's number); not run by this project.
Cost: about 7e18 FLOPs, six per parameter and position: hours on one accelerator of 2024.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "text8"},
      "model": {
        "kind": "argmax_flow",
        "base": 2,
        "encoder": {"kind": "transformer", "width": 512, "num_layers": 2, "num_heads": 8, "dtype": "bfloat16"},
        "density": {
          "kind": "autoregressive",
          "conditioner": {
            "kind": "transformer",
            "width": 768,
            "num_layers": 12,
            "num_heads": 12,
            "dropout": 0.05,
            "dtype": "bfloat16",
          },
        },
      },
      "optimizer": {
        "kind": "adamw",
        "learning_rate": 5e-4,
        "warmup_steps": 2000,
        "weight_decay": 0.03,
        "clip_norm": 1.0,
      },
      "training": {"batch_size": 256, "num_steps": 200_000, "validate_every": 5000, "ema_decay": 0.999},
    }
  )
