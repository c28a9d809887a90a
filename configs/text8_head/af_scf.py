"""A small AF/SCF on the head of text8: LSTMs over positions, couplings of the channels of a latent.

  python -m launch.train --config=text8_head/af_scf --workdir=runs/a --config.data.path=text8_head

But for the couplings all is as in af_af.py.

Expected: 3.01 bits per character on the test part, an ELBO (measured, docs/RESULTS.md).
Cost: 7 to 13 minutes on one CPU core.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("text8_head/af_af", {"model.density.channels": "scf"})
