"""Semi-autoregressive blocks of four characters on the head of text8, each uncovered in a random order.

  python -m launch.train --config=text8_head/block_diffusion --workdir=runs/blocks --config.data.path=text8_head

The network, optimizer and number of characters of autoregressive.py; it can begin with that model's parameters,
--init_from=runs/a.

Expected: 2.528 bits per character on the test part of the prefix by the ELBO; on its first 512 sequences 2.367 exactly,
where the ELBO is 2.476 (measured, docs/RESULTS.md). Blocks of four lie between autoregressive.py and masked diffusion,
as they do on other text (Arriola et al., 2025, arXiv:2503.09573).
Cost: about 33 minutes on one CPU core: a step takes 2.2 times that of autoregressive.py (docs/RESULTS.md).
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("text8_head/autoregressive", {"model.kind": "block_diffusion"})
