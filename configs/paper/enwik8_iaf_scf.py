"""IAF/SCF on enwik8 (Ziegler and Rush, 2019), the row of that name in Table 3 of Hoogeboom et al. (2021).

  python -m launch.train --config=paper/enwik8_iaf_scf --workdir=runs/enwik8_iaf_scf

30,022,331 parameters: the original's 30,043,333 less 20,000 second biases of LSTM gates, which are redundant, and less
1,002 of two symbols more than bytes have. What is said of gradients in text8_iaf_scf.py holds here too; all else is as
in enwik8_af_af.py, without dropout.

Expected: 2.03 bits per byte on the test split, an ELBO of one draw on chunks with nothing carried over (the paper's
number; not run by this project).
Cost: about 3.9e17 FLOPs.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like(
    "paper/enwik8_af_af",
    {"model.density": {"kind": "recurrent", "time": "iaf", "channels": "scf", "num_layers": 3}},
  )
