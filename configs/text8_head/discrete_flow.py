"""A small discrete flow on the head of text8: exact, and worse than counting characters as far as it was trained.

  python -m launch.train --config=text8_head/discrete_flow --workdir=runs/a --config.data.path=text8_head

Four bipartite layers that shift and scale, and as many training characters as the flows beside it.

Expected: 4.85 bits per character on the test part, exact (measured, docs/RESULTS.md); knowing nothing costs 4.75.
Cost: about 8 minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from catgen.config import like

_CONDITIONER = {"kind": "transformer", "width": 96, "num_layers": 2}


def get_config() -> ConfigDict:
  return like(
    "text8_head/argmax_autoregressive",
    {
      "model": {"kind": "discrete_flow", "coupling": "bipartite", "num_layers": 4, "conditioner": _CONDITIONER},
      "optimizer.learning_rate": 1e-3,
    },
  )
