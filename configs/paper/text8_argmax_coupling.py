"""Argmax flow of couplings on text8 (Hoogeboom et al., 2021, Table 2), as published.

  python -m launch.train --config=paper/text8_argmax_coupling --workdir=runs/text8_argmax_coupling

Categories are 5 bits, the noise is a Gaussian of the position's own category, thresholded by softplus; p(v) is eight
couplings of 8 logistic mixtures after two bidirectional LSTMs of 512. 81,088,907 parameters: the original's 81,154,443
less its second LSTM biases. 40 epochs of 21,973 steps.

The rate is constant after the warm-up: in the original the warm-up overwrites the decay of 0.995 an epoch that the
paper states.

Expected: 1.82 bits per character on the test split, an ELBO (the paper's number; not run by this project).
Cost: about 1.7e18 FLOPs.
"""

from ml_collections import ConfigDict

_STEPS_PER_EPOCH = 21_973


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "text8"},
      "model": {
        "kind": "argmax_flow",
        "base": 2,
        "encoder": {"kind": "per_position"},
        "density": {"kind": "coupling", "conditioner": {"kind": "lstm", "input_dropout": 0.05}},
      },
      "optimizer": {"kind": "adamax", "learning_rate": 1e-3, "warmup_steps": 1000, "decay": "constant"},
      "training": {
        "batch_size": 16,
        "num_steps": 40 * _STEPS_PER_EPOCH,
        "crops": False,
        "validate_every": _STEPS_PER_EPOCH,
      },
    }
  )
