"""A small argmax flow of couplings on the head of text8; samples in one pass.

  python -m launch.train --config=text8_head/argmax_coupling --workdir=runs/a --config.data.path=text8_head

The same flow, optimizer and number of training characters as the other two flows of couplings beside it.

Expected: 3.36 bits per character on the test part, an ELBO, the mean of three seeds (measured, docs/RESULTS.md).
Cost: 7 to 13 minutes on one CPU core.
"""

from ml_collections import ConfigDict

from catgen.config import like

_CONDITIONER = {
  "kind": "lstm",
  "hidden_width": 64,
  "width": 96,
  "time_width": 32,
  "lstm_width": 96,
  "num_layers": 1,
}


def get_config() -> ConfigDict:
  return like(
    "text8_head/argmax_autoregressive",
    {
      "model.encoder": "per_position",
      "model.density": {"kind": "coupling", "num_layers": 4, "conditioner": _CONDITIONER},
    },
  )
