"""Transformer-XL of 12 layers on text8: the base model of Dai et al. (2019), which reports it on enwik8 alone.

  python -m launch.train --config=paper/text8_transformer_xl_12 --workdir=runs/text8_xl_12
  python -m launch.evaluate --workdir=runs/text8_xl_12 --batch_size=10 --memory=2100 --segment=80 --max_distance=820

40,964,635 parameters. 22 streams are read on, 512 characters a step, with a memory of 512.

Expected: no number is published; not run by this project.
Cost: about 1.9e18 FLOPs.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "text8", "length": 512},
      "model": {
        "kind": "autoregressive",
        "network": {
          "kind": "transformer_xl",
          "width": 512,
          "num_layers": 12,
          "num_heads": 8,
          "hidden_width": 2048,
          "memory_length": 512,
          "dropout": 0.1,
        },
      },
      "optimizer": {"kind": "adam", "learning_rate": 2.5e-4, "clip_norm": 0.25},
      "training": {"batch_size": 22, "num_steps": 400_000, "streams": True, "validate_every": 4000},
    }
  )
