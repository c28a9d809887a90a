"""The flow layers under contract, tiny: a new one is a line of `LAYERS`."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from flax import nnx

from catgen.flows.layers.actnorm import ActNorm
from catgen.flows.layers.autoregressive import Autoregressive
from catgen.flows.layers.channel_flow import ChannelFlow
from catgen.flows.layers.channelwise import Channelwise
from catgen.flows.layers.context_affine import ContextAffine
from catgen.flows.layers.coupling import Coupling, half_coupling
from catgen.flows.layers.invertible_linear import InvertibleLinear
from catgen.flows.layers.rearrangement import reversal, squeeze, unsqueeze
from catgen.networks import TRUNKS
from catgen.networks.parts.causal_lstm import CausalLSTM
from catgen.networks.roles import Conditioner
from tests.parameters import drawn_by_numpy, filled

CHANNELS, MIXTURES, FEATURES = 3, 3, 8
TEXT, MAP = (4,), (2, 2)  # of as many positions
GIVEN = (3, 2)
LSTM = {"hidden_width": 8, "width": 12, "time_width": 4, "lstm_width": 8, "num_layers": 1, "input_dropout": 0.3}
TRANSFORMER = {"width": 8, "num_layers": 1, "num_heads": 2, "dropout": 0.3}
DENSENET = {"width": 6, "num_layers": 1, "growth": 4, "dropout": 0.3}
SIZES = {"lstm": LSTM, "transformer": TRANSFORMER, "densenet": DENSENET}


class Member(NamedTuple):
  """A layer, or some in the order of generation, as `make(rngs)`, and the values that they take."""

  make: Callable
  shape: tuple[int, ...] = TEXT
  channels: int = CHANNELS
  num_context: int = 0  # features of the context that it reads
  given: tuple[int, ...] = ()  # categories of the attributes that it reads
  drops: bool = False  # activations, where there are keys


def shape_of(kind):
  return MAP if kind == "densenet" else TEXT


def conditioner(kind, rngs, event_shape=None, **options):
  """Returns (num_channels=, num_outputs=) -> conditioner."""
  shape = event_shape or shape_of(kind)
  return partial(Conditioner, TRUNKS[kind](**SIZES[kind]), shape, rngs=rngs, **options)


def channelwise(num_channels, rngs):
  return Channelwise(num_channels, FEATURES, num_mixtures=MIXTURES, hidden_width=8, channel_features=5, rngs=rngs)


def coupling(kind, rngs, num_mixtures=MIXTURES, **options):
  return half_coupling(CHANNELS, num_mixtures, conditioner(kind, rngs, **options))


def block_coupling(rngs, kept, changed):
  network = conditioner("densenet", rngs)(num_channels=kept, num_outputs=FEATURES)
  return Coupling(kept, network, channelwise(changed, rngs))


def autoregressive(kind, rngs, num_channels=CHANNELS, given=()):
  network = Conditioner(TRUNKS[kind](**SIZES[kind]), TEXT, num_channels, FEATURES, causal=True, given=given, rngs=rngs)
  return Autoregressive(network, channelwise(num_channels, rngs))


def recurrent(kind, rngs, reads_noise=False):
  sizes = {"start_width": 4, "given": GIVEN, "dropout": 0.0 if reads_noise else 0.3}
  network = CausalLSTM(4, CHANNELS, 6, 2, **sizes, rngs=rngs)
  flow = ChannelFlow(CHANNELS, 6, kind=kind, num_layers=2, hidden_width=8, rngs=rngs)
  return Autoregressive(network, flow, reads_noise=reads_noise)


def several(rngs):
  first, last = (coupling("transformer", rngs, num_mixtures=0) for _ in range(2))
  return [first, InvertibleLinear(CHANNELS, rngs=rngs), reversal(), last]


def squeezed(rngs):
  network = conditioner("densenet", rngs, event_shape=(1, 1))
  return [unsqueeze(), half_coupling(4 * CHANNELS, 0, network), ActNorm(4 * CHANNELS), squeeze(MAP)]


LAYERS = {
  "actnorm": Member(lambda rngs: ActNorm(CHANNELS)),
  "actnorm_of_maps": Member(lambda rngs: ActNorm(CHANNELS), MAP),
  "context_affine": Member(lambda rngs: ContextAffine(CHANNELS, 2, rngs=rngs), num_context=2),
  "invertible_linear": Member(lambda rngs: InvertibleLinear(CHANNELS, rngs=rngs)),
  "reversal": Member(lambda rngs: reversal()),
  "reversal_of_maps": Member(lambda rngs: reversal(), MAP),
  "squeeze": Member(lambda rngs: squeeze(MAP), MAP),
  "squeeze_diagonal": Member(lambda rngs: squeeze(MAP, diagonal=True), MAP),
  "unsqueeze": Member(lambda rngs: unsqueeze(), (1, 2), channels=4),
  "coupling_affine": Member(partial(coupling, "densenet", num_mixtures=0), MAP, drops=True),
  "coupling_lstm": Member(partial(coupling, "lstm", num_context=2), num_context=2, drops=True),
  "coupling_transformer": Member(
    partial(coupling, "transformer", num_context=2, given=GIVEN), num_context=2, given=GIVEN, drops=True
  ),
  "coupling_densenet": Member(partial(coupling, "densenet", num_context=2), MAP, num_context=2, drops=True),
  "coupling_channelwise": Member(partial(block_coupling, kept=1, changed=2), MAP, drops=True),
  "coupling_channelwise_of_one": Member(partial(block_coupling, kept=1, changed=1), MAP, drops=True),
  "autoregressive_lstm": Member(partial(autoregressive, "lstm", given=GIVEN), given=GIVEN, drops=True),
  "autoregressive_transformer": Member(partial(autoregressive, "transformer", given=GIVEN), given=GIVEN, drops=True),
  "autoregressive_af": Member(partial(recurrent, "af"), given=GIVEN, drops=True),
  "autoregressive_scf_of_noise": Member(partial(recurrent, "scf", reads_noise=True), given=GIVEN),
  "autoregressive_af_of_noise": Member(partial(recurrent, "af", reads_noise=True), given=GIVEN),
  "several": Member(several, drops=True),
  "squeezed": Member(squeezed, MAP, drops=True),
}


# In the default suite each layer is seen once, with any network; tests/networks/test_roles.py shows what networks do.
SLOW = {
  "autoregressive_af_of_noise",
  "autoregressive_scf_of_noise",  # tests/flows/test_channel_flow.py has its Jacobians both ways
  "autoregressive_af",  # the same recurrence as of the one with an LSTM, the same transform as the affine coupling
  "coupling_lstm",
  "coupling_transformer",
  "several",  # as those of "squeezed"
  "coupling_channelwise_of_one",
  "autoregressive_transformer",
}


def build_filled(build, scale=1.0):
  """Returns the graph and the parameters of a module, away from any symmetric point."""
  with drawn_by_numpy():
    graph, state = nnx.split(nnx.eval_shape(build))
  return graph, filled(state, scale)
