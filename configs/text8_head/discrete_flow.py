"""A small discrete flow on the head of text8: exact, and no better than counting characters.

  python -m launch.train --config=text8_head/discrete_flow --workdir=runs/a --config.data.path=text8_head

Four bipartite layers that shift and scale, and as many training characters as the flows beside it.

Expected: about 4.12 bits per character on the test part, the entropy of single characters; not run by this project.
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
