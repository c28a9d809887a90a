"""Distributions of categories at the base of discrete flows: one-hot vectors [batch, *places, C K].

All say `log_prob(z, stays, conditions)`, in nats, and draw by `sample(keys, stays, conditions)`; `stays` are the
channels that go on to the next level, or None, if all leave. log p is linear in one-hot vectors, so that straight-
through gradients reach the layers before.
"""

import math
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from catgen.distributions import categorical
from catgen.events import sum_valid
from catgen.keys import fold_in
from catgen.networks.conditions import Conditions
from catgen.networks.roles import Conditioner

OneHots = Float[Array, "batch *places channels"]
Staying = Float[Array, "batch *places others"]


@runtime_checkable
class Prior(Protocol):
  """A distribution of what leaves a level, given what stays."""

  def log_prob(self, z: OneHots, stays: Staying | None, conditions: Conditions) -> Float[Array, "batch"]:
    """Returns log p(z | stays) in nats."""

  def sample(self, keys: Key[Array, "batch"], stays: Staying | None, conditions: Conditions) -> OneHots:
    """Draws one z per key."""


class Independent(nnx.Module):
  """A categorical of every place by itself, its logits N(0, 1) at first.

  Args:
    places: the axes of an example.
    count: C.
    scale: logits over parameters. What never occurs needs a logit far below the others, and an optimizer such as Adam
      moves every parameter by about the learning rate, which suits networks.
  """

  def __init__(
    self, places: tuple[int, ...], count: int, num_classes: int, *, scale: float = 1.0, rngs: nnx.Rngs
  ) -> None:
    self.scale = scale
    self.logits = nnx.Param(jax.random.normal(rngs.params(), (*places, count, num_classes)) / scale)

  def log_prob(self, z: OneHots, stays: Staying | None, conditions: Conditions) -> Float[Array, "batch"]:
    """See `Prior.log_prob`."""
    return _log_prob(self._logits()[None], z, conditions)

  def sample(self, keys: Key[Array, "batch"], stays: Staying | None, conditions: Conditions) -> OneHots:
    """See `Prior.sample`."""
    logits = self._logits()
    return _drawn(keys, jnp.broadcast_to(logits[None], (len(keys), *logits.shape)))

  def _logits(self) -> Float[Array, "*places count classes"]:
    return self.scale * self.logits[...]


class Predicted(nnx.Module):
  """Categories that a network predicts from those that stay, all at once."""

  def __init__(self, conditioner: Conditioner, num_classes: int) -> None:
    self.conditioner, self.num_classes = conditioner, num_classes

  def log_prob(self, z: OneHots, stays: Staying | None, conditions: Conditions) -> Float[Array, "batch"]:
    """See `Prior.log_prob`."""
    return _log_prob(self._logits(stays, conditions), z, conditions)

  def sample(self, keys: Key[Array, "batch"], stays: Staying | None, conditions: Conditions) -> OneHots:
    """See `Prior.sample`."""
    return _drawn(keys, self._logits(stays, conditions))

  def _logits(self, stays: Any, conditions: Conditions) -> Float[Array, "batch *places count classes"]:
    features = self.conditioner(stays, conditions)
    return features.reshape(*features.shape[:-1], -1, self.num_classes)


class Ordered(nnx.Module):
  """One category of every place, given those before it in row-major order: an autoregressive base.

  Args:
    conditioner: causal, from K channels to K features.
  """

  def __init__(self, conditioner: Conditioner, num_classes: int) -> None:
    self.conditioner, self.num_classes = conditioner, num_classes

  def log_prob(self, z: OneHots, stays: Staying | None, conditions: Conditions) -> Float[Array, "batch"]:
    """See `Prior.log_prob`."""
    return _log_prob(self.conditioner(z, conditions)[..., None, :], z, conditions)

  def sample(self, keys: Key[Array, "batch"], stays: Staying | None, conditions: Conditions) -> OneHots:
    """See `Prior.sample`; one position after the other."""
    network = self.conditioner

    def step(carry: tuple[Any, Array], position: Array) -> tuple[tuple[Any, Array], Array]:
      cache, previous = carry
      logits, cache = network.decode(cache, previous, position, given=conditions.given)
      own = _drawn(fold_in(keys, position), logits[:, None, :])
      return (cache, own), own

    shape = network.event_shape
    first = jnp.zeros((len(keys), self.num_classes))
    _, z = jax.lax.scan(step, (network.init_cache(len(keys)), first), jnp.arange(math.prod(shape)))
    return z.swapaxes(0, 1).reshape(len(keys), *shape, -1)


def _log_prob(
  logits: Float[Array, "#batch *places count classes"], z: OneHots, conditions: Conditions
) -> Float[Array, "batch"]:
  each = z.reshape(*z.shape[:-1], *logits.shape[-2:])
  return sum_valid((each * jax.nn.log_softmax(logits)).sum(axis=(-2, -1)), conditions.valid)


def _drawn(keys: Key[Array, "batch"], logits: Float[Array, "batch *places count classes"]) -> OneHots:
  drawn = jax.nn.one_hot(categorical.sample_each(keys, logits), logits.shape[-1])
  return drawn.reshape(*logits.shape[:-2], -1)
