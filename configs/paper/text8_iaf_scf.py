"""IAF/SCF on text8 (Ziegler and Rush, 2019), the row of that name in Table 3 of Hoogeboom et al. (2021).

  python -m launch.train --config=paper/text8_iaf_scf --workdir=runs/text8_iaf_scf

28,563,602 parameters: the original's 28,584,604 less 20,000 second biases of LSTM gates, which are redundant, and less
1,002 of two symbols more than text8 has. Training works on one position after the other, sampling on all at once.

The authors' code cuts the gradient of the half of the channels that a coupling copies, so its number was trained with
wrong gradients; here they are right, and the number may be better. All else is as in text8_af_af.py, without dropout.

Expected: 1.88 bits per character on the test split, an ELBO of one draw on chunks with nothing carried over (the
paper's number; not run by this project).
Cost: about 3.8e17 FLOPs.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like(
    "paper/text8_af_af",
    {"model.density": {"kind": "recurrent", "time": "iaf", "channels": "scf", "num_layers": 3}},
  )
