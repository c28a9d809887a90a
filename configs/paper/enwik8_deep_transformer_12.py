"""The deep character transformer of 12 layers on enwik8 (Al-Rfou et al., 2019).

  python -m launch.train --config=paper/enwik8_deep_transformer_12 --workdir=runs/enwik8_deep_12
  python -m launch.evaluate --workdir=runs/enwik8_deep_12 --context=511

All is as in text8_deep_transformer_12.py, which reads bytes too: 44,257,792 parameters in training, 41,237,248 after.

Expected: 1.11 bits per byte on the test split, exact, each byte given the 512 before it (the paper's number; not run
by this project). Without --context windows are scored by themselves: another number, and a higher one.
Cost: about 9e18 FLOPs of training; --context=511 takes a pass of 45 GFLOP for every byte of the test split.
"""

from ml_collections import ConfigDict

_STEPS = 4_000_000


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "enwik8", "length": 512},
      "model": {
        "kind": "autoregressive",
        "auxiliary_steps": _STEPS // 2,
        "second_target": 0.5,
        "network": {
          "kind": "deep_transformer",
          "width": 512,
          "num_layers": 12,
          "hidden_width": 2048,
          "dropout": 0.55,
        },
      },
      "optimizer": {"kind": "sgd", "learning_rate": 3e-3, "momentum": 0.99, "decay": "constant"},
      "training": {"batch_size": 16, "num_steps": _STEPS, "validate_every": 20_000},
    }
  )
