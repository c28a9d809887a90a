"""Flows of maps at several resolutions, after Dinh et al. (2017) and Kingma and Dhariwal (2018)."""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key

from catgen.flows.actnorm import ActNorm
from catgen.flows.chain import Chain
from catgen.flows.coupling import Coupling
from catgen.flows.invertible_linear import InvertibleLinear
from catgen.flows.learned_normal import LearnedNormal
from catgen.flows.squeeze import Squeeze, Unsqueeze
from catgen.interfaces import InputError
from catgen.keys import fold_in
from catgen.kinds import Recipe


class MultiScaleDensity(nnx.Module):
  """log p(v) of chains one after another, finest first; after each but the last some channels leave for a base.

  Args:
    levels: chains from a map to the next one, which is a quarter as long where a level squeezes.
    leaving: number of channels that leave after each level, the last ones; all that are left leave after the last.
    lengths: positions of the map after each level.

  Raises:
    InputError: no levels.
  """

  def __init__(self, levels: Sequence[Chain], leaving: Sequence[int], lengths: Sequence[int]) -> None:
    if not levels:
      raise InputError("a multi-scale flow needs at least one level; set config.model.density.num_levels")
    self.levels: Any = nnx.List(list(levels))
    self.bases: Any = nnx.List([LearnedNormal(count) for count in leaving])
    self.leaving, self.lengths = tuple(leaving), tuple(lengths)

  def inverse(
    self,
    v: Float[Array, "batch length channels"],
    *,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> tuple[list[Float[Array, "batch ..."]], Float[Array, "batch"]]:
    """Returns what leaves after each level, and log |det| of all of it with respect to v."""
    latents, log_det = [], jnp.zeros(len(v))
    for i, level in enumerate(self.levels):
      v, change = level.inverse(v, valid=valid, keys=fold_in(keys, i))
      valid, log_det = level.move(valid), log_det + change
      stays = v.shape[-1] - self.leaving[i]
      latents.append(v[..., stays:])
      v = v[..., :stays]
    return latents, log_det

  def forward(
    self, latents: Sequence[Float[Array, "batch ..."]]
  ) -> tuple[Float[Array, "batch length channels"], Float[Array, "batch"]]:
    """Returns (v, log_det) from what leaves after each level."""
    v, log_det = latents[-1][..., :0], jnp.zeros(len(latents[-1]))
    for level, latent in zip(reversed(list(self.levels)), reversed(latents), strict=True):
      v, change = level.forward(jnp.concatenate([v, latent], axis=-1))
      log_det = log_det + change
    return v, log_det

  def log_prob(
    self,
    v: Float[Array, "batch length channels"],
    *,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> Float[Array, "batch"]:
    """Returns log p(v) in nats; keys: for dropout in the conditioners, None = none."""
    latents, log_p = self.inverse(v, valid=valid, keys=keys)
    for level, base, latent in zip(self.levels, self.bases, latents, strict=True):
      valid = level.move(valid)
      log_p = log_p + base.log_prob(latent, valid)
    return log_p

  def sample(self, keys: Key[Array, "batch"]) -> Float[Array, "batch length channels"]:
    """Draws one latent map per key, all of a batch together."""
    pairs = enumerate(zip(self.bases, self.lengths, strict=True))
    return self.forward([base.sample(fold_in(keys, i), length) for i, (base, length) in pairs])[0]

  def initialize(
    self, v: Float[Array, "batch length channels"], *, valid: Bool[Array, "batch length"] | None = None
  ) -> None:
    """Sets what depends on data (ActNorm), level by level."""
    for level, leaving in zip(self.levels, self.leaving, strict=True):
      level.initialize(v, valid=valid)
      v, _ = level.inverse(v, valid=valid)
      v, valid = v[..., : v.shape[-1] - leaving], level.move(valid)


def subflows(
  *,
  num_channels: int,
  event_shape: tuple[int, ...],
  conditioner: Recipe,
  rngs: nnx.Rngs,
  num_layers: int,
  num_mixtures: int = 0,
  num_context: int = 0,
) -> list[nnx.Module]:
  """Returns `num_layers` times ActNorm, invertible 1 x 1 convolution and coupling, in the order that data meet them.

  num_mixtures: of the couplings; 0 = affine.
  """
  layers: list[nnx.Module] = []
  for _ in range(num_layers):
    layers += [
      ActNorm(num_channels),
      InvertibleLinear(num_channels, rngs=rngs),
      Coupling(
        num_channels,
        event_shape=event_shape,
        num_mixtures=num_mixtures,
        conditioner=conditioner,
        num_context=num_context,
        rngs=rngs,
      ),
    ]
  return layers


def multi_scale_density(
  num_channels: int,
  event_shape: tuple[int, ...],
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
    num_levels, num_layers: levels, and subflows of each.
    num_mixtures: components of mixture-CDF couplings; 0 = affine couplings.
    squeeze_first: squeeze before the first level too, which makes all of it four times cheaper.
    factor_out: after each level but the last, half of the channels leave for a base of their own; False = all go on.

  Raises:
    InputError: a height or width that the levels do not halve evenly.
  """
  levels, leaving, lengths = [], [], []
  layers: list[nnx.Module] = []
  for number in range(num_levels):
    if number > 0 or squeeze_first:
      layers.append(Squeeze(event_shape))
      num_channels, event_shape = 4 * num_channels, tuple(size // 2 for size in event_shape)
    layers += subflows(
      num_channels=num_channels,
      event_shape=event_shape,
      conditioner=conditioner,
      rngs=rngs,
      num_layers=num_layers,
      num_mixtures=num_mixtures,
    )
    last = number == num_levels - 1
    if factor_out or last:
      levels.append(Chain(layers[::-1]))
      lengths.append(math.prod(event_shape))
      leaving.append(num_channels if last else num_channels // 2)
      num_channels, layers = num_channels - leaving[-1], []
  return MultiScaleDensity(levels, leaving, lengths)


def map_posterior_flow(
  num_channels: int,
  event_shape: tuple[int, ...],
  num_context: int,
  *,
  conditioner: Recipe,
  rngs: nnx.Rngs,
  num_layers: int = 8,
  num_mixtures: int = 0,
  squeeze: bool = False,
) -> Chain:
  """Returns subflows on a context, at the resolution of the map (the paper's one level) or, squeezed, at half of it."""
  factor, shape = (4, tuple(size // 2 for size in event_shape)) if squeeze else (1, event_shape)
  layers = subflows(
    num_channels=factor * num_channels,
    event_shape=shape,
    conditioner=conditioner,
    rngs=rngs,
    num_layers=num_layers,
    num_mixtures=num_mixtures,
    num_context=factor * num_context,
  )
  if squeeze:
    layers = [Squeeze(event_shape), *layers, Unsqueeze(event_shape)]
  return Chain(layers[::-1])
