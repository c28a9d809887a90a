"""A small IAF/SCF on the head of text8; a sample in one pass.

  python -m launch.train --config=text8_head/iaf_scf --workdir=runs/a --config.data.path=text8_head

The LSTM over positions reads the noise of those before it, so that training goes in turn; all else is as in af_scf.py.

Expected: 3.15 bits per character on the test part, an ELBO (measured, docs/RESULTS.md).
Cost: 7 to 13 minutes on one CPU core.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("text8_head/af_scf", {"model.density.time": "iaf"})
