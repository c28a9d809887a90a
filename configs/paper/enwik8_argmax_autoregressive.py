"""Autoregressive argmax flow on enwik8 (Hoogeboom et al., 2021, Table 2), as published.

  python -m launch.train --config=paper/enwik8_argmax_autoregressive --workdir=runs/enwik8_argmax_autoregressive

As on text8 (text8_argmax_autoregressive.py), with 8 bits and 82 features of a channel. 73,150,736 parameters: the
original's 75,561,324 less 20,480 second LSTM biases and 2,390,108 zeros of its block-diagonal matrices. 40 epochs of
4,395 steps of 64 sequences of 320 bytes.

Expected: 1.42 bits per byte on the test split, an ELBO (the paper's number; not run by this project).
Cost: about 1.6e18 FLOPs.
"""

from ml_collections import ConfigDict

_STEPS_PER_EPOCH = 4_395


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "enwik8"},
      "model": {
        "kind": "argmax_flow",
        "base": 2,
        "encoder": {"kind": "lstm", "width": 512, "time_width": 0, "num_layers": 1},
        "density": {
          "kind": "autoregressive",
          "channel_features": 82,
          "conditioner": {
            "kind": "lstm",
            "width": 1024,
            "time_width": 256,
            "hidden_width": 1024,
            "lstm_width": 2048,
            "input_dropout": 0.25,
          },
        },
      },
      "optimizer": {
        "kind": "adam",
        "learning_rate": 1e-3,
        "decay": {"kind": "exponential", "factor": 0.995, "every": _STEPS_PER_EPOCH},
      },
      "training": {
        "batch_size": 64,
        "num_steps": 40 * _STEPS_PER_EPOCH,
        "crops": False,
        "validate_every": _STEPS_PER_EPOCH,
      },
    }
  )
