"""Sums over the positions of events: the one place that does it."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Num


def sum_valid(
  values: Num[Array, "batch *event"], valid: Bool[Array, "batch *event"] | None = None
) -> Num[Array, "batch"]:
  """Returns the sum over the valid positions of each example, in the dtype of the values; None = all are valid."""
  values = values if valid is None else jnp.where(valid, values, jnp.zeros_like(values))
  return values.sum(axis=tuple(range(1, values.ndim)))
