"""The diffusion model of text8_head/diffusion with noise that has the frequencies of the letters.

  python -m launch.train --config=text8_head/unigram --workdir=runs/unigram --config.data.path=text8_head

Expected: 2.90 bits per character after 2000 steps, an ELBO (measured, docs/RESULTS.md).
Cost: as text8_head/diffusion, about 54 minutes on one CPU core.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("text8_head/diffusion", {"model.process": "unigram"})
