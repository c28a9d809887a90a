"""AF/AF on text8 (Ziegler and Rush, 2019), the row of that name in Table 3 of Hoogeboom et al. (2021).

  python -m launch.train --config=paper/text8_af_af --workdir=runs/text8_af_af

28,789,877 parameters: the original's 28,810,879 less 20,000 second biases of LSTM gates, which are redundant, and less
1,002 of two symbols more than text8 has. 30 epochs of 10,987 steps of 32 chunks of 256 characters.

As Hoogeboom et al. trained it: one draw, a KL weight of 1e-5 for two epochs that rises to 1 over four more, 30 epochs.
Decided here, where neither says: chunks of one length, of which every part knows its position; dropout of 0.2 between
the two LSTMs of p(z) as in the original's other experiments; a constant rate, where the original divides it by four
whenever the validation gets no better; the loss is divided by 256 characters, not 257.

Expected: 1.62 bits per character on the test split, an ELBO of one draw on chunks with nothing carried over (the
paper's number; not run by this project).
Cost: about 3.8e17 FLOPs.
"""

from ml_collections import ConfigDict

_STEPS_PER_EPOCH = 10_987


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "text8"},
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
