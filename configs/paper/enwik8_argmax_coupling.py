"""Argmax flow of couplings on enwik8 (Hoogeboom et al., 2021, Table 2), as published.

  python -m launch.train --config=paper/enwik8_argmax_coupling --workdir=runs/enwik8_argmax_coupling

As on text8 (text8_argmax_coupling.py), with 8 bits and LSTMs of 768. 181,809,344 parameters: the original's 182,005,952
less its second LSTM biases. 20 epochs of 8,790 steps of 32 sequences of 320 bytes.

Expected: 1.93 bits per byte on the test split, an ELBO (the paper's number; not run by this project).
Cost: about 2e18 FLOPs.
"""

from ml_collections import ConfigDict

_STEPS_PER_EPOCH = 8_790


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "enwik8"},
      "model": {
        "kind": "argmax_flow",
        "base": 2,
        "encoder": {"kind": "per_position"},
        "density": {
          "kind": "coupling",
          "conditioner": {
            "kind": "lstm",
            "hidden_width": 384,
            "width": 384,
            "time_width": 96,
            "lstm_width": 768,
            "input_dropout": 0.1,
          },
        },
      },
      "optimizer": {"kind": "adamax", "learning_rate": 1e-3, "warmup_steps": 1000, "decay": "constant"},
      "training": {"num_steps": 20 * _STEPS_PER_EPOCH, "crops": False, "validate_every": _STEPS_PER_EPOCH},
    }
  )
