"""Logarithms of differences, exact where the plain formula loses its digits or overflows."""

import jax.numpy as jnp
from jaxtyping import Array, Float

_SMALL = -15.0  # below exp(-15), 1 - exp(-a) is a to half a float32 digit: log(1 - exp(-a)) = log a - a / 2


def log1mexp(log_a: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
  """Returns log(1 - exp(-a)) for a = exp(log_a) >= 0.

  Numerics: exact for every log_a; below -15 it is log_a, where a itself may underflow. The gradient with respect to
  log_a, a / (exp(a) - 1), is finite everywhere.
  """
  tiny = log_a < _SMALL
  safe = jnp.where(tiny, 0.0, jnp.minimum(log_a, 80.0))
  a = jnp.exp(safe)
  near = a < 0.7
  close = jnp.log(-jnp.expm1(-jnp.where(near, a, 1.0)))
  far = jnp.log1p(-jnp.exp(-jnp.where(near, 1.0, a)))
  return jnp.where(tiny, log_a, jnp.where(near, close, far))


def log_expm1(a: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
  """Returns log(exp(a) - 1) for a >= 0; -inf, with a gradient of zero, at a = 0."""
  positive = a > 0.0
  safe = jnp.where(positive, a, 1.0)
  small = safe < 1.0
  near, far = jnp.where(small, safe, 0.5), jnp.where(small, 1.0, safe)
  value = jnp.where(small, jnp.log(jnp.expm1(near)), far + jnp.log1p(-jnp.exp(-far)))
  return jnp.where(positive, value, -jnp.inf)
