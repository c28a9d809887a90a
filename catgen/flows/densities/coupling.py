"""Flows of couplings on text, all positions at once."""

from collections.abc import Callable
from functools import partial

from flax import nnx

from catgen.flows.densities.density import Density
from catgen.flows.layer import Layer
from catgen.flows.layers.actnorm import ActNorm
from catgen.flows.layers.chain import Chain
from catgen.flows.layers.coupling import half_coupling
from catgen.flows.layers.invertible_linear import InvertibleLinear
from catgen.flows.layers.rearrangement import reversal
from catgen.kinds import Recipe
from catgen.networks.roles import Conditioner


def coupling_layers(
  num_channels: int,
  make: Callable[..., nnx.Module],
  num_layers: int,
  num_mixtures: int,
  actnorm: bool,
  *,
  rngs: nnx.Rngs,
) -> Chain:
  """Returns couplings; before each but the first that data meet, the sequence is reversed and channels are mixed.

  Values are [batch, length, channels].

  Args:
    make: (num_channels=, num_outputs=) -> conditioner.
  """
  layers: list[Layer] = []
  for number in range(num_layers):
    layers += [reversal(), InvertibleLinear(num_channels, rngs=rngs)] if number else []
    layers += [ActNorm(num_channels)] if actnorm else []
    layers.append(half_coupling(num_channels, num_mixtures, make))
  return Chain(layers[::-1])


def coupling_density(
  num_channels: int,
  event_shape: tuple[int, ...],
  given: tuple[int, ...] = (),
  *,
  conditioner: Recipe,
  rngs: nnx.Rngs,
  num_layers: int = 8,
  num_mixtures: int = 8,
  actnorm: bool = False,
) -> Density:
  """Returns the paper's coupling flow on text: eight layers, a sample in one pass.

  Args:
    conditioner: network that reads half of the channels of all positions.
    num_layers: couplings; the sequence is reversed and its channels are mixed in between.
    num_mixtures: logistic components of every channel; 0 = affine couplings.
    actnorm: normalize the channels before every coupling, by statistics of the first batch.
  """
  make = partial(Conditioner, conditioner, event_shape, given=given, rngs=rngs)
  chain = coupling_layers(num_channels, make, num_layers, num_mixtures, actnorm, rngs=rngs)
  return Density(chain, num_channels, event_shape)


def coupling_posterior_flow(
  num_channels: int,
  event_shape: tuple[int, ...],
  num_context: int = 0,
  *,
  conditioner: Recipe,
  rngs: nnx.Rngs,
  num_layers: int,
  num_mixtures: int,
  actnorm: bool = False,
) -> Chain:
  """Returns the layers of `coupling_density` on a context, for noise q(u | x), u [batch, length, channels].

  Args:
    conditioner: network that reads half of the channels, and the context, of all positions.
    num_layers: couplings; the sequence is reversed and its channels are mixed in between.
    num_mixtures: logistic components of every channel; 0 = affine couplings.
    actnorm: put a learned shift and scale of channels before every coupling.
  """
  make = partial(Conditioner, conditioner, event_shape, num_context=num_context, rngs=rngs)
  return coupling_layers(num_channels, make, num_layers, num_mixtures, actnorm, rngs=rngs)
