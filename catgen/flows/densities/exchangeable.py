"""Flows of sets: nothing in them depends on the order of positions, if their conditioner does not see it."""

from functools import partial

from flax import nnx

from catgen.flows.densities.density import Density
from catgen.flows.densities.multi_scale import subflows
from catgen.flows.layers.chain import Chain
from catgen.kinds import Recipe
from catgen.networks.roles import Conditioner


def exchangeable_density(
  num_channels: int,
  event_shape: tuple[int, ...],
  given: tuple[int, ...] = (),
  *,
  conditioner: Recipe,
  rngs: nnx.Rngs,
  num_layers: int = 8,
  num_mixtures: int = 8,
  base: str = "logistic",
) -> Density:
  """Returns ActNorm, a matrix on the channels and a coupling of channels, so many times; a sample in one pass.

  Args:
    conditioner: network that reads half of the channels of all positions; for sets one that does not see their order,
      such as a transformer without positions.
    num_layers: of these triples.
    num_mixtures: logistic components of every channel of a coupling; 0 = affine couplings.
    base: "logistic" (of deviation 1) or "normal" (learned location and scale), see `Density`.

  Reference: CategoricalNF (Lippe and Gavves, 2021), its flows of sets.
  """
  make = partial(Conditioner, conditioner, event_shape, given=given, rngs=rngs)
  chain = Chain(subflows(num_channels, make, num_layers, num_mixtures, rngs=rngs)[::-1])
  return Density(chain, num_channels, event_shape, base)
