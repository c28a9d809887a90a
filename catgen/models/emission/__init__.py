"""Latent models with an emission: a continuous z from a density p(z), and categories drawn from p(x | z).

An encoding is q(z | x) and p(x | z) together: see `catgen.models.emission.encoding`. Its factory is called with the
event. `small` are sizes for proofs on events of two positions.
"""

from catgen.flows.densities import POSTERIOR_FLOWS
from catgen.kinds import Kind, Kinds, Registry
from catgen.models.emission.bayes import linear_flows, mixture
from catgen.models.emission.learned import LearnedEncoding
from catgen.models.emission.recurrent import RecurrentEncoding
from catgen.models.emission.weighting import fading_emission, kl_warmup
from catgen.networks import TRUNKS

ENCODINGS: Registry = Kinds() | {
  "mixture": Kind(mixture, small={"num_channels": 2}),
  "linear": Kind(linear_flows, small={"num_channels": 2, "num_layers": 2, "hidden_width": 16}),
  "learned": Kind(
    LearnedEncoding,
    parts={"encoder": TRUNKS, "decoder": TRUNKS, "posterior_flow": POSTERIOR_FLOWS},
    small={"num_channels": 2},
  ),
  "recurrent": Kind(
    RecurrentEncoding, small={"num_channels": 2, "width": 16, "lstm_width": 16, "num_layers": 1, "dropout": 0.0}
  ),
}
WEIGHTINGS: Registry = Kinds() | {
  "kl_warmup": Kind(kl_warmup, small={"hold_steps": 20, "rise_steps": 80}),
  "fading_emission": Kind(fading_emission, small={"half_life_steps": 50}),
}
