"""The normal distribution of a location and the logarithm of a scale."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

_LOG_SQRT_TAU = 0.5 * math.log(math.tau)


def log_prob(
  location: Float[Array, "*#batch"], log_scale: Float[Array, "*#batch"], value: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
  """Returns the log-density in nats."""
  return -0.5 * jnp.square(_standard(location, log_scale, value)) - log_scale - _LOG_SQRT_TAU


def log_cdf(
  location: Float[Array, "*#batch"], log_scale: Float[Array, "*#batch"], value: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
  """Returns log P(z <= value), by an asymptotic series far to the left."""
  return jax.scipy.special.log_ndtr(_standard(location, log_scale, value))


def cdf(
  location: Float[Array, "*#batch"], log_scale: Float[Array, "*#batch"], value: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
  """Returns P(z <= value)."""
  return jax.scipy.special.ndtr(_standard(location, log_scale, value))


def log_survival(
  location: Float[Array, "*#batch"], log_scale: Float[Array, "*#batch"], value: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
  """Returns log P(z > value)."""
  return jax.scipy.special.log_ndtr(-_standard(location, log_scale, value))


def icdf(
  location: Float[Array, "*#batch"], log_scale: Float[Array, "*#batch"], probability: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
  """Returns the value with P(z <= value) = probability, in (0, 1)."""
  return location + jnp.exp(log_scale) * jax.scipy.special.ndtri(probability)


def sample(
  key: Key[Array, ""], location: Float[Array, "*batch"], log_scale: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
  """Draws location + exp(log_scale) * noise; differentiable in both."""
  return location + jnp.exp(log_scale) * jax.random.normal(key, location.shape)


def _standard(location: Array, log_scale: Array, value: Array) -> Array:
  return (value - location) * jnp.exp(-log_scale)
