"""Sums over the positions of events: the one place that does it; and events that a family cannot have."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Num

from catgen.interfaces import EventSpec, InputError


def sum_valid(
  values: Num[Array, "batch *event"], valid: Bool[Array, "batch *event"] | None = None
) -> Num[Array, "batch"]:
  """Returns the sum over the valid positions of each example, in the dtype of the values; None = all are valid."""
  values = values if valid is None else jnp.where(valid, values, jnp.zeros_like(values))
  return values.sum(axis=tuple(range(1, values.ndim)))


def refuse_sizes(event: EventSpec, who: str, remedy: str = "use a masked diffusion or an autoregressive model") -> None:
  """Raises InputError where positions have different numbers of categories, which not every family knows."""
  if event.sizes is not None:
    raise InputError(f"{who} has the same categories at every position, and those of these data differ; {remedy}")
