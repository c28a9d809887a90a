"""Sequences one position later, which is what a causal network reads, and one position earlier."""

import math

import jax.numpy as jnp
from jaxtyping import Array


def shifted(x: Array, first: Array | float | int | bool, event_shape: tuple[int, ...]) -> Array:
  """Returns x [batch, *event, ...] one position later in row-major order, `first` in front and the last entry gone."""
  flat = x.reshape(len(x), math.prod(event_shape), *x.shape[1 + len(event_shape) :])
  return jnp.concatenate([jnp.full_like(flat[:, :1], first), flat[:, :-1]], axis=1).reshape(x.shape)


def following(x: Array, last: int | bool, event_shape: tuple[int, ...]) -> Array:
  """Returns x [batch, *event] one position earlier in row-major order, the first entry gone and `last` at the end."""
  flat = x.reshape(len(x), math.prod(event_shape))
  return jnp.concatenate([flat[:, 1:], jnp.full_like(flat[:, :1], last)], axis=1).reshape(x.shape)
