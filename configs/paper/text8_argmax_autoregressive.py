"""Autoregressive argmax flow on text8 (Hoogeboom et al., 2021, Table 2), as published.

  python -m launch.train --config=paper/text8_argmax_autoregressive --workdir=runs/text8_argmax_autoregressive
  python -m launch.evaluate --workdir=runs/text8_argmax_autoregressive --estimator=iwbo --num_draws=1000

Categories are 5 bits, the noise is a Gaussian of a bidirectional LSTM, thresholded by softplus; p(v) is one
autoregressive layer of 27 logistic mixtures after two LSTMs of 2048. 69,925,823 parameters: the original's 70,799,679
less 20,480 second LSTM biases and 853,376 zeros of its block-diagonal matrices. 40 epochs of 5,494 steps.

Expected: 1.38 bits per character on the test split, an ELBO (the paper's number; not run by this project).
Cost: about 1.5e18 FLOPs.
"""

from ml_collections import ConfigDict

_STEPS_PER_EPOCH = 5_494


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "text8"},
      "model": {
        "kind": "argmax_flow",
        "base": 2,
        "encoder": {"kind": "lstm", "width": 512, "time_width": 0, "num_layers": 1},
        "density": {
          "kind": "autoregressive",
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
