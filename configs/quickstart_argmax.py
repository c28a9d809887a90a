"""The data and the time of the quick start with an autoregressive argmax flow: five bits a character.

  python -m launch.train --config=quickstart_argmax --workdir=runs/argmax
  python -m launch.evaluate --workdir=runs/argmax --estimator=iwbo --num_draws=1000

Expected: an ELBO and, below it, an IWBO in bits per character; not run by this project.
Cost: about 5 minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from catgen.config import like

_MODEL = {
  "kind": "argmax_flow",
  "base": 2,
  "encoder": {"kind": "lstm", "width": 128, "time_width": 0, "lstm_width": 128, "num_layers": 1, "output_width": 64},
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
}


def get_config() -> ConfigDict:
  optimizer = {"kind": "adam", "learning_rate": 5e-3, "warmup_steps": 200, "clip_norm": 1.0}
  return like("quickstart", {"model": _MODEL, "optimizer": optimizer, "evaluation.num_draws": 1})
