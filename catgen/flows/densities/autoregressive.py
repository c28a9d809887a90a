"""Autoregressive flows of text."""

from flax import nnx

from catgen.flows.densities.density import Density
from catgen.flows.layer import Layer
from catgen.flows.layers.actnorm import ActNorm
from catgen.flows.layers.autoregressive import Autoregressive
from catgen.flows.layers.chain import Chain
from catgen.flows.layers.channelwise import Channelwise
from catgen.flows.layers.rearrangement import reversal
from catgen.kinds import Recipe
from catgen.networks.roles import Conditioner


def autoregressive_density(
  num_channels: int,
  event_shape: tuple[int, ...],
  given: tuple[int, ...] = (),
  *,
  conditioner: Recipe,
  rngs: nnx.Rngs,
  num_layers: int = 1,
  num_mixtures: int = 27,
  num_features: int = 1024,
  hidden_width: int = 512,
  channel_features: int = 96,
  actnorm: bool = False,
  base: str = "normal",
) -> Density:
  """Returns autoregressive layers, reversed in between; one layer is the paper's flow on text.

  Sampling makes one position after the other, and one channel after the other.

  Args:
    conditioner: causal network whose features of a position say how its channels are transformed.
    num_layers: autoregressive layers; every one more is a pass over all positions in sampling.
    num_mixtures: logistic components of every channel.
    num_features: features of a position, from the conditioner.
    hidden_width: width of the channel network, per channel.
    channel_features: features that a channel contributes to those after it.
    actnorm: normalize the channels before every layer, by statistics of the first batch.
    base: "normal" (learned location and scale) or "logistic" (of deviation 1), see `Density`.
  """
  layers: list[Layer] = []
  for number in range(num_layers):
    layers += [reversal()] if number else []
    layers += [ActNorm(num_channels)] if actnorm else []
    network = Conditioner(conditioner, event_shape, num_channels, num_features, causal=True, given=given, rngs=rngs)
    channels = Channelwise(
      num_channels,
      num_features,
      num_mixtures=num_mixtures,
      hidden_width=hidden_width,
      channel_features=channel_features,
      rngs=rngs,
    )
    layers.append(Autoregressive(network, channels))
  return Density(Chain(layers[::-1]), num_channels, event_shape, base)
