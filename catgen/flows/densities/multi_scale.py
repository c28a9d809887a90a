"""Flows of maps at several resolutions, after Dinh et al. (2017) and Kingma and Dhariwal (2018)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from catgen.flows.densities.learned_normal import LearnedNormal
from catgen.flows.layer import Layer, Values
from catgen.flows.layers import rearrangement
from catgen.flows.layers.actnorm import ActNorm
from catgen.flows.layers.chain import Chain
from catgen.flows.layers.coupling import half_coupling
from catgen.flows.layers.invertible_linear import InvertibleLinear
from catgen.interfaces import InputError
from catgen.keys import fold_in
from catgen.kinds import Recipe
from catgen.networks.conditions import NO_CONDITIONS, Conditions
from catgen.networks.roles import Conditioner

Leaving = Sequence[Float[Array, "batch ..."]]


class MultiScaleDensity(nnx.Module):
  """log p(v) of chains one after another, finest first; after each but the last some channels leave for a base.

  Args:
    levels: chains from a map to the next one, which is a quarter as large where a level squeezes.
    leaving: number of channels that leave after each level, the last ones; all that are left leave after the last.
    shapes: height and width of the map after each level.

  Raises:
    InputError: no levels.
  """

  def __init__(self, levels: Sequence[Chain], leaving: Sequence[int], shapes: Sequence[tuple[int, ...]]) -> None:
    if not levels:
      raise InputError("a multi-scale flow needs at least one level; set config.model.density.num_levels")
    self.levels: Any = nnx.List(list(levels))
    self.bases: Any = nnx.List([LearnedNormal(count) for count in leaving])
    self.leaving, self.shapes = tuple(leaving), tuple(shapes)

  def inverse(self, v: Values, conditions: Conditions = NO_CONDITIONS) -> tuple[Leaving, Float[Array, "batch"]]:
    """Returns what leaves after each level, and log |det| of all of it with respect to v."""
    latents, log_det = [], jnp.zeros(len(v))
    for level, met, leaving in zip(self.levels, self._met(conditions), self.leaving, strict=True):
      v, change = level.inverse(v, met)
      log_det = log_det + change
      v, latent = _split(v, leaving)
      latents.append(latent)
    return latents, log_det

  def forward(self, latents: Leaving, conditions: Conditions = NO_CONDITIONS) -> tuple[Values, Float[Array, "batch"]]:
    """Returns (v, log_det) from what leaves after each level."""
    v, log_det = latents[-1][..., :0], jnp.zeros(len(latents[-1]))
    for level, met, latent in reversed(list(zip(self.levels, self._met(conditions), latents, strict=True))):
      v, change = level.forward(jnp.concatenate([v, latent], axis=-1), met)
      log_det = log_det + change
    return v, log_det

  def log_prob(self, v: Values, conditions: Conditions = NO_CONDITIONS) -> Float[Array, "batch"]:
    """Returns log p(v | given) in nats."""
    latents, log_p = self.inverse(v, conditions)
    for level, base, latent in zip(self.levels, self.bases, latents, strict=True):
      conditions = level.moved(conditions)
      log_p = log_p + base.log_prob(latent, conditions.valid)
    return log_p

  def sample(self, keys: Key[Array, "batch"], given: Int[Array, "batch attributes"] | None = None) -> Values:
    """Draws one latent map per key, all of a batch together."""
    pairs = enumerate(zip(self.bases, self.shapes, strict=True))
    latents = [base.sample(fold_in(keys, i), shape) for i, (base, shape) in pairs]
    return self.forward(latents, Conditions(given=given))[0]

  def initialize(self, v: Values, conditions: Conditions = NO_CONDITIONS) -> None:
    """Sets what depends on data (ActNorm), level by level."""
    for level, met, leaving in zip(self.levels, self._met(conditions), self.leaving, strict=True):
      level.initialize(v, met)
      v, _ = _split(level.inverse(v, met)[0], leaving)

  def _met(self, conditions: Conditions) -> list[Conditions]:
    """Returns the conditions that each level meets on its side of the data; level i drops by fold_in(key, i)."""
    met = []
    for i, level in enumerate(self.levels):
      met.append(conditions._replace(keys=fold_in(conditions.keys, i)))
      conditions = level.moved(conditions)
    return met


def _split(values: Array, leaving: int) -> tuple[Array, Array]:
  """Returns the channels that go on and the last ones, which leave."""
  stays = values.shape[-1] - leaving
  return values[..., :stays], values[..., stays:]


def subflows(
  num_channels: int, make: Callable[..., nnx.Module], num_layers: int, num_mixtures: int, *, rngs: nnx.Rngs
) -> list[Layer]:
  """Returns `num_layers` times ActNorm, invertible 1 x 1 convolution and coupling, in the order that data meet them.

  Args:
    make: (num_channels=, num_outputs=) -> conditioner.
    num_mixtures: of the couplings; 0 = affine.

  Reference: Kingma and Dhariwal (2018).
  """
  layers: list[Layer] = []
  for _ in range(num_layers):
    layers += [ActNorm(num_channels), InvertibleLinear(num_channels, rngs=rngs)]
    layers.append(half_coupling(num_channels, num_mixtures, make))
  return layers


def multi_scale_density(
  num_channels: int,
  event_shape: tuple[int, ...],
  given: tuple[int, ...] = (),
  *,
  conditioner: Recipe,
  rngs: nnx.Rngs,
  num_levels: int = 4,
  num_layers: int = 10,
  num_mixtures: int = 0,
  squeeze_first: bool = False,
  factor_out: bool = True,
) -> MultiScaleDensity:
  """Returns levels of subflows with squeezing between them: the paper's flow of segmentation maps.

  Args:
    conditioner: network that reads half of the channels of a whole map.
    num_levels: resolutions; each halves the height and width of the one before.
    num_layers: subflows of each level.
    num_mixtures: components of mixture-CDF couplings; 0 = affine couplings.
    squeeze_first: squeeze before the first level too, which makes all of it four times cheaper.
    factor_out: after each level but the last, half of the channels leave for a base of their own; False = all go on.

  Raises:
    InputError: a height or width that the levels do not halve evenly.
  """
  rearrangement.check_levels(event_shape, num_levels, squeezed=squeeze_first)
  levels, leaving, shapes = [], [], []
  layers: list[Layer] = []
  for number in range(num_levels):
    if number > 0 or squeeze_first:
      layers.append(rearrangement.squeeze(event_shape))
      num_channels, event_shape = 4 * num_channels, tuple(size // 2 for size in event_shape)
    make = partial(Conditioner, conditioner, event_shape, given=given, rngs=rngs)
    layers += subflows(num_channels, make, num_layers, num_mixtures, rngs=rngs)
    last = number == num_levels - 1
    if factor_out or last:
      levels.append(Chain(layers[::-1]))
      shapes.append(event_shape)
      leaving.append(num_channels if last else num_channels // 2)
      num_channels, layers = num_channels - leaving[-1], []
  return MultiScaleDensity(levels, leaving, shapes)


def map_posterior_flow(
  num_channels: int,
  event_shape: tuple[int, ...],
  num_context: int = 0,
  *,
  conditioner: Recipe,
  rngs: nnx.Rngs,
  num_layers: int = 8,
  num_mixtures: int = 0,
  squeeze: bool = False,
) -> Chain:
  """Returns subflows on a context, at the resolution of the map (the paper's one level) or, squeezed, at half of it.

  Not squeezed they take events of any shape, and of sets with a conditioner that does not see the order of positions.

  Args:
    conditioner: network that reads half of the channels, and the context, of a whole example.
    num_layers: subflows.
    num_mixtures: components of mixture-CDF couplings; 0 = affine couplings.
    squeeze: work at half of the resolution, which makes it four times cheaper.
  """
  if not squeeze:
    make = partial(Conditioner, conditioner, event_shape, num_context=num_context, rngs=rngs)
    return Chain(subflows(num_channels, make, num_layers, num_mixtures, rngs=rngs)[::-1])
  shape = tuple(size // 2 for size in event_shape)
  make = partial(Conditioner, conditioner, shape, num_context=4 * num_context, rngs=rngs)
  layers = subflows(4 * num_channels, make, num_layers, num_mixtures, rngs=rngs)
  return Chain([rearrangement.squeeze(event_shape), *layers, rearrangement.unsqueeze()][::-1])
