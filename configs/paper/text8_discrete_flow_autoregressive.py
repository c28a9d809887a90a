"""An autoregressive discrete flow on text8 (Tran et al., 2019, quoted in Table 3 of Hoogeboom et al., 2021).

  python -m launch.train --config=paper/text8_discrete_flow_autoregressive --workdir=runs/text8_discrete_flow_ar

Eight layers that shift every character given those before it, the order reversed in between, by three transformer
layers each, over a base of independent characters; all else as text8_discrete_flow_bipartite.py.
77,387,736 parameters.

Expected: Tran et al. report 1.23 bits per character of a flow of this size; nobody could reproduce it. The appendix of
Hoogeboom et al. has 4.13 without scales, no better than counting single characters (4.12); not run by this project.
Cost: about 8e18 FLOPs.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("paper/text8_discrete_flow_bipartite", {"model.coupling": "autoregressive", "model.scale": False})
