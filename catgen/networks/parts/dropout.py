"""Dropout, example by example."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from catgen.interfaces import InputError


def dropout(keys: Key[Array, "batch"] | None, x: Float[Array, "batch ..."], rate: float) -> Float[Array, "batch ..."]:
  """Returns x with entries zeroed with probability `rate` in [0, 1) and the rest divided by 1 - rate.

  Each example draws from its own key, so an example is treated alike in any batch, microbatch or device. keys = None
  means no dropout.
  """
  if keys is None or rate == 0.0:
    return x
  keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1.0 - rate, x.shape[1:]))(keys)
  return jnp.where(keep, x / (1.0 - rate), jnp.zeros_like(x))


def check_rate(rate: float, name: str = "dropout") -> float:
  """Returns a probability of dropping. Raises InputError unless it is at least 0 and below 1."""
  if not 0.0 <= rate < 1.0:
    raise InputError(f"{name} must be at least 0 and below 1, not {rate}")
  return rate
