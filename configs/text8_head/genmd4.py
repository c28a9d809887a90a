"""GenMD4 on the head of text8: masked diffusion that learns how early each character is masked.

  python -m launch.train --config=text8_head/genmd4 --workdir=runs/genmd4 --config.data.path=text8_head

masked_continuous.py is the same with one rate for all. Rates of positions: --config.model.rates=position
What is learned, in Python: catgen.models.diffusion.masking_rates(catgen.load("runs/genmd4").params)

Expected: 2.69 bits per character after 2000 steps, an ELBO (measured, docs/RESULTS.md). By Shi et al. (2024,
arXiv:2406.04329) 1.34 and for one rate 1.37 on the whole of text8.
Cost: about 28 minutes on one CPU core: two calls of the network in each step of training.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("text8_head/diffusion", {"model.kind": "learned_masking", "training.num_steps": 1000})
