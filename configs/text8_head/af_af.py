"""A small AF/AF on the head of text8: LSTMs over positions, masked networks over the channels of a latent.

  python -m launch.train --config=text8_head/af_af --workdir=runs/a --config.data.path=text8_head

The optimizer and the number of training characters are those of argmax_autoregressive.py; the weight of the KL
divergence rises to 1 in the first fifth of the steps.

Expected: 3.06 bits per character on the test part, an ELBO (measured, docs/RESULTS.md).
Cost: 7 to 13 minutes on one CPU core.
"""

from ml_collections import ConfigDict

from catgen.config import like

_DENSITY = {"kind": "recurrent", "lstm_width": 256, "num_lstm_layers": 1, "start_width": 32, "hidden_width": 64}


def get_config() -> ConfigDict:
  encoding = {"kind": "recurrent", "num_channels": 16, "width": 64, "lstm_width": 128, "num_layers": 1}
  return like(
    "text8_head/argmax_autoregressive",
    {
      "model": {
        "kind": "latent_emission",
        "encoding": encoding,
        "density": {**_DENSITY, "num_layers": 3},
        "weighting": {"kind": "kl_warmup", "hold_steps": 50, "rise_steps": 150},
      },
    },
  )
