"""The surjection of an event and its learned inverse: categories are written in digits, and noise makes each a latent.

Categories are written as d base-M digits, each with the channels that the surjection gives to one. M^d - K codes mean
no category; their probability is part of P(invalid).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.events import sum_valid
from catgen.interfaces import EventSpec
from catgen.kinds import Recipe
from catgen.networks.conditions import Conditions
from catgen.networks.roles import Encoder
from catgen.surjections import digits
from catgen.surjections.surjection import Surjection


class EventSurjection(nnx.Module):
  """x(v) of a whole event, and its probabilistic inverse q(v | x) with all that it learns.

  Args:
    of_digit: the surjection of one digit.
    base: M.
    noise: (event, num_channels, rngs=) -> q(u | x): see `catgen.models.flow.posterior`.
    has_location: a location of every channel is learned, and starts at the data's log-frequencies of digits.
    location_encoder: encoder of what is added to that at every position, or None.
  """

  def __init__(
    self,
    event: EventSpec,
    of_digit: Surjection,
    *,
    base: int,
    noise: Callable[..., nnx.Module],
    has_location: bool = False,
    location_encoder: Recipe | None = None,
    rngs: nnx.Rngs,
  ) -> None:
    self.of_digit, self.base, self.num_classes = of_digit, base, event.num_classes
    self.num_digits, self.per_digit = digits.num_digits(event.num_classes, base), of_digit.num_channels(base)
    self.num_channels = self.num_digits * self.per_digit
    self.noise: Any = noise(event, self.num_channels, rngs=rngs)
    self.location = nnx.Param(jnp.zeros((self.num_digits, self.per_digit))) if has_location else None
    sizes = (event.shape, event.num_classes, self.num_channels)
    self.location_encoder: Any = None if location_encoder is None else Encoder(location_encoder, *sizes, rngs=rngs)

  def forward(
    self, v: Float[Array, "batch *axes channels"]
  ) -> tuple[Int[Array, "batch *axes"], Bool[Array, "batch *axes"]]:
    """Returns categories and whether v means one."""
    category, meant = self.of_digit.forward(v.reshape(*v.shape[:-1], self.num_digits, self.per_digit))
    x, used = digits.decode(category, self.num_classes, self.base)
    return x, used & jnp.all(meant, axis=-1)

  def inverse(
    self,
    x: Int[Array, "batch *axes"],
    *,
    valid: Bool[Array, "batch *axes"] | None,
    keys: Key[Array, "batch"],
    dropout_keys: Key[Array, "batch"] | None = None,
  ) -> tuple[Float[Array, "batch *axes channels"], Float[Array, "batch"]]:
    """Returns (v, log q(v | x) summed over valid positions), one draw per example."""
    category = digits.encode(x, self.num_classes, self.base)
    shape = (*category.shape, self.per_digit)
    noise = self.noise(x, valid=valid, keys=keys, dropout_keys=dropout_keys)
    location = self._location(x, valid, dropout_keys)
    v, log_q = self.of_digit.inverse(noise.u.reshape(shape), noise.log_q.reshape(shape), category, location)
    return v.reshape(noise.u.shape), sum_valid(log_q.sum(axis=(-2, -1)), valid) + noise.log_volume

  def log_prob(
    self, v: Float[Array, "batch *axes channels"], x: Int[Array, "batch *axes"], *, valid: Bool[Array, "batch *axes"]
  ) -> Float[Array, "batch"]:
    """Returns log q(v | x) summed over valid positions, for v in the region of x; elsewhere it means nothing."""
    category = digits.encode(x, self.num_classes, self.base)
    each = v.reshape(*category.shape, self.per_digit)
    u, log_det = self.of_digit.noise_of(each, category, self._location(x, valid, None))
    return self.noise.log_prob(u.reshape(v.shape), x, valid=valid) + sum_valid(log_det.sum(axis=(-2, -1)), valid)

  def initialize(self, x: Int[Array, "batch *axes"], *, valid: Bool[Array, "batch *axes"]) -> None:
    """Sets locations to the log-frequencies of digits in a batch (Eq. 10), each counted once more than seen."""
    if self.location is None:
      return
    one_hot = jax.nn.one_hot(digits.encode(x, self.num_classes, self.base), self.base)
    counts = 1.0 + (one_hot * valid[..., None, None]).sum(axis=tuple(range(x.ndim)))
    logs = jnp.log(counts / counts.sum(axis=-1, keepdims=True))
    self.location[...] = logs[:, 1:] - logs[:, :1] if self.per_digit == 1 else logs

  def _location(self, x: Array, valid: Array | None, keys: Array | None) -> Array | None:
    """Returns locations [*#event, digits, channels of a digit]."""
    if self.location is None:
      return None
    location = self.location[...][(None,) * x.ndim]
    if self.location_encoder is None:
      return location
    shift = self.location_encoder(x, Conditions(valid=valid, keys=keys))
    return location + shift.reshape(*x.shape, *location.shape[-2:])
