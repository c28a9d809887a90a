"""Transformer-XL of 24 layers on text8 (Dai et al., 2019; a row of Hoogeboom et al.'s Table 3).

  python -m launch.train --config=paper/text8_transformer_xl_24 --workdir=runs/text8_xl_24
  python -m launch.evaluate --workdir=runs/text8_xl_24 --batch_size=16 --memory=3800 --segment=128 \
    --max_distance=1000 --same_length

277,050,395 parameters. 64 streams are read on, 768 characters a step, with a memory of 768, and begun anew at each pass
over the training part: enwik8's settings, which the paper took as they are.

Expected: 1.08 bits per character on the test split, exact, each character given up to 3800 before it by a memory that
is carried over the whole split (the paper's number; not run by this project). Without --memory each 768 characters are
scored by themselves: another number, and a higher one.
Cost: about 5e19 FLOPs.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "text8", "length": 768},
      "model": {
        "kind": "autoregressive",
        "network": {
          "kind": "transformer_xl",
          "width": 1024,
          "num_layers": 24,
          "num_heads": 8,
          "hidden_width": 3072,
          "memory_length": 768,
          "dropout": 0.15,
          "attention_dropout": 0.15,
          "scan_layers": True,
        },
      },
      "optimizer": {"kind": "adam", "learning_rate": 2.5e-4, "warmup_steps": 4000, "clip_norm": 0.25},
      "training": {"batch_size": 64, "num_steps": 400_000, "streams": True, "validate_every": 4000},
    }
  )
