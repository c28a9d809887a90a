"""Densities p(v) of latents, and chains of layers for q(u | x): from a configuration's names to factories.

A density has `log_prob(v, conditions)`, `sample(keys, given)` and `initialize(v, conditions)`. Its factory is called
with (num_channels, event_shape, given), that of a posterior flow with (num_channels, event_shape, num_context).
"""

from catgen.flows.densities.autoregressive import autoregressive_density
from catgen.flows.densities.coupling import coupling_density, coupling_posterior_flow
from catgen.flows.densities.exchangeable import exchangeable_density
from catgen.flows.densities.multi_scale import map_posterior_flow, multi_scale_density
from catgen.flows.densities.pyramid import pyramid_density
from catgen.flows.densities.recurrent import recurrent_density
from catgen.kinds import Kind, Kinds, Registry
from catgen.networks import TRUNKS

_RECURRENT = {"num_layers": 2, "hidden_width": 16, "lstm_width": 16, "start_width": 16, "dropout": 0.0}
_CONDITIONER = {"conditioner": TRUNKS}
_CHANNELS = {"num_mixtures": 4, "num_features": 32, "hidden_width": 32, "channel_features": 8}
_COUPLINGS = {"num_mixtures": 4, "num_layers": 2}
DENSITIES: Registry = Kinds() | {
  "autoregressive": Kind(autoregressive_density, _CONDITIONER, {"num_layers": 2, **_CHANNELS}),
  "coupling": Kind(coupling_density, _CONDITIONER, _COUPLINGS),
  "exchangeable": Kind(exchangeable_density, _CONDITIONER, _COUPLINGS),
  # a map of 2 x 2 can be halved once: before the second level
  "multi_scale": Kind(multi_scale_density, _CONDITIONER, {"num_levels": 2, "squeeze_first": False, **_COUPLINGS}),
  "recurrent": Kind(recurrent_density, small=_RECURRENT),
  "pyramid": Kind(pyramid_density, _CONDITIONER, {"num_levels": 1, **_CHANNELS}),
}
POSTERIOR_FLOWS: Registry = Kinds() | {
  "coupling": Kind(coupling_posterior_flow, _CONDITIONER, _COUPLINGS),
  "map_coupling": Kind(map_posterior_flow, _CONDITIONER, _COUPLINGS),
}
