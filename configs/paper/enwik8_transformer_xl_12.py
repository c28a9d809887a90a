"""Transformer-XL of 12 layers on enwik8 (Dai et al., 2019, the base model).

  python -m launch.train --config=paper/enwik8_transformer_xl_12 --workdir=runs/enwik8_xl_12
  python -m launch.evaluate --workdir=runs/enwik8_xl_12 --batch_size=10 --memory=2100 --segment=80 --max_distance=820

41,082,112 parameters: those of the published code, which knows the 205 bytes that occur, are 41,055,949.

Expected: 1.06 bits per byte on the test split, exact, each byte given up to 2100 before it by a memory that is carried
over the whole split (the paper's number; not run by this project). Without --memory each 512 bytes are scored by
themselves: another number, and a higher one.
Cost: about 1.9e18 FLOPs.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "enwik8", "length": 512},
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
