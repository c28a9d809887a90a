"""The deep character transformer of 12 layers on text8 (Al-Rfou et al., 2019; a row of Hoogeboom et al.'s Table 3).

  python -m launch.train --config=paper/text8_deep_transformer_12 --workdir=runs/text8_deep_12
  python -m launch.evaluate --workdir=runs/text8_deep_12 --context=511

44,257,792 parameters in training, 41,237,248 without the heads that only training needs. Windows of 512 from anywhere
and nothing carried over; bytes, since the published counts are those of 256 symbols. Dropout of the 12 layers, where
norms stand, and whether the losses of layers are summed or averaged is not published: that of 64 layers, after, summed.

Expected: 1.18 bits per character on the test split, exact, each character given the 512 before it (the paper's number;
not run by this project). Without --context windows are scored by themselves: another number, and a higher one.
Cost: about 9e18 FLOPs of training; --context=511 takes a pass of 45 GFLOP for every character of the test split.
"""

from ml_collections import ConfigDict

_STEPS = 4_000_000


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "text8", "length": 512, "as_bytes": True},
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
