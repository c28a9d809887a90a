"""A small deep character transformer on the head of text8: 8 layers that all predict, and fall silent one by one.

  python -m launch.train --config=text8_head/deep_transformer --workdir=runs/a --config.data.path=text8_head

Chunks of 128 characters and nothing carried over; --context=127 of launch.evaluate gives each the 127 before it.

Expected: 2.51 bits per character on the test part without --context, exact (measured, docs/RESULTS.md).
Cost: about 30 minutes on one CPU core.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "text_file", "length": 128, "alphabet": "text8", "splits": (10_500_000, 600_000, 647_521)},
      "model": {
        "kind": "autoregressive",
        "auxiliary_steps": 500,
        "second_target": 0.5,
        "network": {"kind": "deep_transformer", "num_layers": 8},
      },
      "optimizer": {"kind": "adam", "learning_rate": 1e-3, "warmup_steps": 200, "clip_norm": 1.0},
      "training": {"num_steps": 1000, "validate_every": 500},
    }
  )
