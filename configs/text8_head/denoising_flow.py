"""A small denoising flow on the head of text8: every second character sorted by predictions from the others, in turn.

  python -m launch.train --config=text8_head/denoising_flow --workdir=runs/a --config.data.path=text8_head

Four layers, exact, and as many training characters as the flows beside it.

Expected: 3.10 bits per character on the test part, exact (measured, docs/RESULTS.md); single characters need 4.12.
Cost: about 8 minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from catgen.config import like

_CONDITIONER = {"kind": "transformer", "width": 96, "num_layers": 2}


def get_config() -> ConfigDict:
  model = {"kind": "denoising_flow", "conditioner": _CONDITIONER}
  return like("text8_head/argmax_autoregressive", {"model": model, "optimizer.learning_rate": 3e-3})
