"""q(u | x): the noise of probabilistic inverses, given the categories: fixed, learned, or a flow of learned noise.

Noise is a module with `__call__(x, *, valid, keys, dropout_keys) -> Draw` and `log_prob(u, x, *, valid)`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.distributions import logistic, normal
from catgen.events import sum_valid
from catgen.interfaces import EventSpec, InputError
from catgen.keys import fold_in
from catgen.kinds import Recipe
from catgen.networks.conditions import Conditions
from catgen.networks.roles import Encoder

NOISE_BASES = {"normal": normal, "logistic": logistic}


class Draw(NamedTuple):
  """A draw of u and log q(u | x): elementwise and, from flow layers, per example. They add up."""

  u: Float[Array, "batch *axes channels"]
  log_q: Float[Array, "batch *axes channels"]
  log_volume: Float[Array, "batch"]


class FixedNoise(nnx.Module):
  """Uniform noise, in the form that the draws have; log q is that of the uniforms, 0.

  Args:
    draw: (key, shape) -> noise of one example.
  """

  def __init__(self, event: EventSpec, num_channels: int, *, draw: Callable, rngs: nnx.Rngs) -> None:
    self.num_channels, self.draw = num_channels, draw

  def __call__(
    self,
    x: Int[Array, "batch *axes"],
    *,
    valid: Bool[Array, "batch *axes"] | None,
    keys: Key[Array, "batch"],
    dropout_keys: Key[Array, "batch"] | None,
  ) -> Draw:
    """Returns one draw per example, by its own key."""
    u = jax.vmap(lambda key: self.draw(key, (*x.shape[1:], self.num_channels)))(keys)
    return Draw(u, jnp.zeros_like(u), jnp.zeros(len(x)))

  def log_prob(
    self, u: Float[Array, "batch *axes channels"], x: Int[Array, "batch *axes"], *, valid: Bool[Array, "batch *axes"]
  ) -> Float[Array, "batch"]:
    """Returns 0."""
    return jnp.zeros(len(x))


class Posterior(nnx.Module):
  """Independent coordinates whose location and log-scale an encoder computes, maybe followed by flow layers.

  The flow layers are used from data to base, the direction that has a closed form, with the encoder's features as
  context: u = chain.inverse(e), e from the base.

  Args:
    encoder: a trunk, of which an `Encoder` is made.
    base: distribution of each coordinate, "normal" or "logistic".
    flow: (num_channels, event_shape, num_context, rngs=) -> chain of conditional flow layers, or None.
    num_context: features that condition these.

  Raises:
    InputError: unknown base.
  """

  def __init__(
    self,
    event: EventSpec,
    num_channels: int,
    *,
    encoder: Recipe,
    base: str,
    flow: Callable[..., nnx.Module] | None,
    num_context: int,
    rngs: nnx.Rngs,
  ) -> None:
    if base not in NOISE_BASES:
      raise InputError(f"noise_base {base!r} is unknown; choose one of {', '.join(NOISE_BASES)}")
    self.base, self.num_channels = base, num_channels
    self.encoder = Encoder(encoder, event.shape, event.num_classes, 2 * num_channels + num_context, rngs=rngs)
    chain = None if flow is None else flow(num_channels, event.shape, num_context, rngs=rngs)
    self.chain: Any = chain

  def __call__(
    self,
    x: Int[Array, "batch *axes"],
    *,
    valid: Bool[Array, "batch *axes"] | None,
    keys: Key[Array, "batch"],
    dropout_keys: Key[Array, "batch"] | None,
  ) -> Draw:
    """Returns one draw per example, by its own key."""
    location, log_scale, context = self._features(x, valid, dropout_keys)
    distribution = NOISE_BASES[self.base]
    u = jax.vmap(distribution.sample)(keys, location, log_scale)
    log_q = distribution.log_prob(location, log_scale, u)
    if self.chain is None:
      return Draw(u, log_q, jnp.zeros(len(x)))
    u, log_det = self.chain.inverse(u, Conditions(context, valid, fold_in(dropout_keys, 1)))
    return Draw(self.chain.move_back(u), log_q, -log_det)

  def log_prob(
    self,
    u: Float[Array, "batch *axes channels"],
    x: Int[Array, "batch *axes"],
    *,
    valid: Bool[Array, "batch *axes"] | None,
  ) -> Float[Array, "batch"]:
    """Returns log q(u | x), summed over valid positions."""
    location, log_scale, context = self._features(x, valid, None)
    log_volume = jnp.zeros(len(x))
    if self.chain is not None:
      u, log_volume = self.chain.forward(self.chain.move(u), Conditions(context, valid))
    return sum_valid(NOISE_BASES[self.base].log_prob(location, log_scale, u).sum(axis=-1), valid) + log_volume

  def _features(self, x: Array, valid: Array | None, keys: Array | None) -> list[Array]:
    """Returns location and log-scale of the base, and the context of the flow layers."""
    features = self.encoder(x, Conditions(valid=valid, keys=keys))
    return jnp.split(features, [self.num_channels, 2 * self.num_channels], axis=-1)
