"""AF/AF on enwik8 (Ziegler and Rush, 2019), the row of that name in Table 3 of Hoogeboom et al. (2021).

  python -m launch.train --config=paper/enwik8_af_af --workdir=runs/enwik8_af_af

30,248,606 parameters: the original's 30,269,608 less 20,000 second biases of LSTM gates, which are redundant, and less
1,002 of two symbols more than bytes have. 30 epochs of 8,790 steps of 32 chunks of 320 bytes; all else is as in
text8_af_af.py.

Expected: 1.72 bits per byte on the test split, an ELBO of one draw on chunks with nothing carried over (the paper's
number; not run by this project).
Cost: about 3.9e17 FLOPs.
"""

from ml_collections import ConfigDict

_STEPS_PER_EPOCH = 8_790


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "enwik8"},
      "model": {
        "kind": "latent_emission",
        "encoding": {"kind": "recurrent"},
        "density": {"kind": "recurrent", "dropout": 0.2},
        "weighting": {"kind": "kl_warmup", "hold_steps": 2 * _STEPS_PER_EPOCH, "rise_steps": 4 * _STEPS_PER_EPOCH},
      },
      "optimizer": {"kind": "adam", "learning_rate": 1e-3, "decay": "constant", "clip_norm": 0.25},
      "training": {
        "num_steps": 30 * _STEPS_PER_EPOCH,
        "crops": False,
        "validate_every": _STEPS_PER_EPOCH,
      },
    }
  )
