"""q(u | x): the noise of probabilistic inverses, given the categories: normal, logistic, or a flow of one of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.distributions import logistic, normal
from catgen.flows.positions import total
from catgen.interfaces import InputError
from catgen.keys import fold_in
from catgen.kinds import Recipe
from catgen.networks.roles import Encoder

NOISE_BASES = {"normal": normal, "logistic": logistic}


class Noise(NamedTuple):
  """A draw of u and log q(u | x): elementwise and, from flow layers, per example. They add up."""

  u: Float[Array, "batch length channels"]
  log_q: Float[Array, "batch length channels"]
  log_volume: Float[Array, "batch"]


class Posterior(nnx.Module):
  """Independent coordinates whose location and log-scale an encoder computes, maybe followed by flow layers.

  The flow layers are used from data to base, the direction that has a closed form, with the encoder's features as
  context: u = chain.inverse(e), e from the base.

  Args:
    encoder: a trunk, of which an `Encoder` is made.
    base: distribution of each coordinate, "normal" or "logistic".
    make_chain: (num_channels=, event_shape=, num_context=, rngs=) -> chain of conditional flow layers, or None.

  Raises:
    InputError: unknown base.
  """

  def __init__(
    self,
    num_classes: int,
    num_channels: int,
    *,
    event_shape: tuple[int, ...],
    encoder: Recipe,
    base: str = "normal",
    make_chain: Callable[..., nnx.Module] | None = None,
    num_context: int = 0,
    rngs: nnx.Rngs,
  ) -> None:
    if base not in NOISE_BASES:
      raise InputError(f"noise_base {base!r} is unknown; choose one of {', '.join(NOISE_BASES)}")
    self.base, self.num_channels = base, num_channels
    self.event_shape = tuple(event_shape)
    self.encoder = Encoder(encoder, event_shape, num_classes, 2 * num_channels + num_context, rngs=rngs)
    chain = make_chain and make_chain(
      num_channels=num_channels, event_shape=event_shape, num_context=num_context, rngs=rngs
    )
    self.chain: Any = chain

  def __call__(
    self,
    x: Int[Array, "batch length"],
    *,
    valid: Bool[Array, "batch length"],
    keys: Key[Array, "batch"],
    dropout_keys: Key[Array, "batch"] | None,
  ) -> Noise:
    """Returns one draw per example, by its own key."""
    location, log_scale, context = self._features(x, valid, dropout_keys)
    distribution = NOISE_BASES[self.base]
    u = jax.vmap(distribution.sample)(keys, location, log_scale)
    log_q = distribution.log_prob(location, log_scale, u)
    if self.chain is None:
      return Noise(u, log_q, jnp.zeros(len(x)))
    u, log_det = self.chain.inverse(u, context=context, valid=valid, keys=fold_in(dropout_keys, 1))
    return Noise(self.chain.move_back(u), log_q, -log_det)

  def log_prob(
    self,
    u: Float[Array, "batch length channels"],
    x: Int[Array, "batch length"],
    *,
    valid: Bool[Array, "batch length"],
  ) -> Float[Array, "batch"]:
    """Returns log q(u | x), summed over valid positions."""
    location, log_scale, context = self._features(x, valid, None)
    log_volume = jnp.zeros(len(x))
    if self.chain is not None:
      u, log_volume = self.chain.forward(self.chain.move(u), context=context, valid=valid)
    return total(NOISE_BASES[self.base].log_prob(location, log_scale, u), valid) + log_volume

  def _features(self, x: Array, valid: Array, keys: Array | None) -> list[Array]:
    """Returns location and log-scale of the base, and the context of the flow layers."""
    shape = (len(x), *self.event_shape)
    features = self.encoder(x.reshape(shape), valid=valid.reshape(shape), keys=keys).reshape(*x.shape, -1)
    return jnp.split(features, [self.num_channels, 2 * self.num_channels], axis=-1)
