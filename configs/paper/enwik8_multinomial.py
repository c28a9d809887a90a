"""Multinomial diffusion of bytes on enwik8 (Hoogeboom et al., 2021, Tables 2 and 3), as published.

  python -m launch.train --config=paper/enwik8_multinomial --workdir=runs/enwik8_multinomial

51,756,289 parameters, T = 4000, sequences of 320 bytes, local windows of 80, 300 epochs of 8,790 steps.

Expected: 1.75 bits per byte on the test split, an ELBO (the paper's number; not run by this project).
Cost: about 6e18 FLOPs.
"""

from ml_collections import ConfigDict

_STEPS_PER_EPOCH = 8_790


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "enwik8"},
      "model": {
        "kind": "diffusion",
        "schedule": "paper_cosine",
        "num_steps": 4000,
        "time_sampler": "importance",
        "network": {"kind": "local_linear_transformer", "window": 80},
      },
      "optimizer": {
        "kind": "adam",
        "learning_rate": 1e-4,
        "decay": {"kind": "exponential", "every": _STEPS_PER_EPOCH},
      },
      "training": {"num_steps": 300 * _STEPS_PER_EPOCH, "crops": False, "validate_every": _STEPS_PER_EPOCH},
    }
  )
