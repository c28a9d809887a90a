"""The flows of Ziegler and Rush (2019) on text: LSTMs over positions, nonlinear squared flows over channels."""

import math

from flax import nnx

from catgen.flows.densities.density import Density
from catgen.flows.layers.autoregressive import Autoregressive
from catgen.flows.layers.chain import Chain
from catgen.flows.layers.channel_flow import ChannelFlow
from catgen.interfaces import InputError
from catgen.networks.parts.causal_lstm import CausalLSTM
from catgen.networks.parts.precision import compute_dtype


def recurrent_density(
  num_channels: int,
  event_shape: tuple[int, ...],
  given: tuple[int, ...] = (),
  *,
  rngs: nnx.Rngs,
  time: str = "af",
  channels: str = "af",
  num_layers: int = 5,
  hidden_width: int = 100,
  lstm_width: int = 500,
  num_lstm_layers: int = 2,
  start_width: int = 500,
  dropout: float = 0.0,
  dtype: str = "float32",
) -> Density:
  """Returns AF/AF, AF/SCF or IAF/SCF, named by `time` and `channels`, on a standard normal base.

  Args:
    time: "af": what comes before a position are latents, so that training is parallel and sampling goes in turn;
      "iaf": it is their noise, so that sampling takes one pass and training goes in turn.
    channels: of a position: "af": each given those before it; "scf": half of them given the others.
    num_layers: over the channels, whose order is reversed in between.
    hidden_width: of the two hidden layers of their networks.
    lstm_width: of the states that say what came before.
    num_lstm_layers: of LSTMs, at least 1.
    start_width: hidden features of the network that makes the first states.
    dropout: probability, in training, of what an LSTM passes to the next one; 0 with "iaf".
    dtype: of the factors of the LSTM's products, float32 or bfloat16.

  Raises:
    InputError: unknown time or channels, or dropout where positions are worked on in turn.
  """
  if time not in ("af", "iaf"):
    raise InputError(f"time {time!r} of a density is unknown; choose af or iaf")
  if time == "iaf" and dropout:
    raise InputError("a density with time 'iaf' is trained one position after the other, without dropout; set it to 0")
  if num_lstm_layers < 1:
    raise InputError(f"num_lstm_layers is {num_lstm_layers}; it must be at least 1")
  network = CausalLSTM(
    math.prod(event_shape),
    num_channels,
    lstm_width,
    num_lstm_layers,
    start_width=start_width,
    given=given,
    dropout=dropout,
    dtype=compute_dtype(dtype),
    rngs=rngs,
  )
  flow = ChannelFlow(
    num_channels, lstm_width, kind=channels, num_layers=num_layers, hidden_width=hidden_width, rngs=rngs
  )
  layer = Autoregressive(network, flow, reads_noise=time == "iaf")
  return Density(Chain([layer]), num_channels, event_shape, "unit_normal")
