"""A small autoregressive argmax flow on the head of text8; samples by one scan over the positions.

  python -m launch.train --config=text8_head/argmax_autoregressive --workdir=runs/a --config.data.path=text8_head

The same flow, optimizer and number of training characters as the other two autoregressive flows beside it, which only
differ in how categories become latents.

Expected: 2.14 bits per character on the test part, an ELBO, the mean of three seeds (measured, docs/RESULTS.md).
Cost: 7 to 13 minutes on one CPU core.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "text_file", "length": 128, "alphabet": "text8", "splits": (10_500_000, 600_000, 647_521)},
      "model": {
        "kind": "argmax_flow",
        "base": 2,
        "encoder": {
          "kind": "lstm",
          "width": 128,
          "time_width": 0,
          "lstm_width": 128,
          "num_layers": 1,
          "output_width": 64,
        },
        "density": {
          "kind": "autoregressive",
          "num_mixtures": 8,
          "num_features": 256,
          "hidden_width": 64,
          "channel_features": 16,
          "conditioner": {
            "kind": "lstm",
            "hidden_width": 128,
            "width": 160,
            "time_width": 32,
            "lstm_width": 256,
            "num_layers": 1,
          },
        },
      },
      "optimizer": {"kind": "adam", "learning_rate": 5e-3, "warmup_steps": 200, "clip_norm": 1.0},
      "training": {"num_steps": 1000, "validate_every": 500},
    }
  )
