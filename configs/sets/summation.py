"""CategoricalNF on 16 numbers from 1 to 16 whose sum is 42: mixtures as encoding, an autoregressive flow.

  python -m launch.train --config=sets/summation --workdir=runs/summation

Expected: 2.254 bits per number on 32,768 test rows, an ELBO, and 2.248 with 64 importance weights, where 2.2427 are
the least (measured, docs/RESULTS.md).
Cost: 10 minutes on two CPU cores, 23 on one beside other work.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "sets", "task": "summation"},
      "model": {
        "kind": "latent_emission",
        "encoding": {"kind": "mixture"},
        "density": {
          "kind": "autoregressive",
          "num_mixtures": 16,
          "num_features": 128,
          "hidden_width": 64,
          "channel_features": 16,
          "actnorm": True,
          "base": "logistic",
          "conditioner": {
            "kind": "lstm",
            "hidden_width": 128,
            "width": 128,
            "time_width": 32,
            "lstm_width": 256,
            "num_layers": 1,
          },
        },
        "weighting": {"kind": "fading_emission", "half_life_steps": 1000},
      },
      "optimizer": {"kind": "adam", "learning_rate": 3e-3, "warmup_steps": 100, "clip_norm": 1.0},
      "training": {"batch_size": 64, "num_steps": 9000, "validation_examples": 1024},
    }
  )
