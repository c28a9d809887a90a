"""Multinomial diffusion on a text file of yours; a small network for CPUs.

  python -m launch.train --config=text_file --workdir=runs/mine --config.data.path=mine.txt

Any UTF-8 file (characters are inferred) or, with --config.data.alphabet=bytes, any file at all.

Expected: fewer bits than bigram counts (`launch.baselines`); not run by this project, whose numbers on other text are
in docs/RESULTS.md.
Cost: about 7 minutes on two CPU cores.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "text_file", "length": 64},
      "model": {
        "kind": "diffusion",
        "network": {"kind": "transformer", "conv_width": 5},
      },
      "optimizer": {"kind": "muon", "learning_rate": 1.2e-2, "adam_learning_rate": 3e-3, "warmup_steps": 50},
      "training": {"num_steps": 1600, "validate_every": 400},
      "evaluation": {"num_draws": 4},
    }
  )
