"""The logistic distribution of a location and the logarithm of a scale: its CDF is the sigmoid."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

UNIT_LOG_SCALE = -math.log(1.81)  # of a deviation of one, nearly: that of scale 1 is pi / sqrt(3) = 1.8138


def log_prob(
  location: Float[Array, "*#batch"], log_scale: Float[Array, "*#batch"], value: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
  """Returns the log-density in nats; both tails fall like -|value - location| / scale."""
  standard = _standard(location, log_scale, value)
  return jax.nn.log_sigmoid(standard) + jax.nn.log_sigmoid(-standard) - log_scale


def log_cdf(
  location: Float[Array, "*#batch"], log_scale: Float[Array, "*#batch"], value: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
  """Returns log P(z <= value)."""
  return jax.nn.log_sigmoid(_standard(location, log_scale, value))


def cdf(
  location: Float[Array, "*#batch"], log_scale: Float[Array, "*#batch"], value: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
  """Returns P(z <= value)."""
  return jax.nn.sigmoid(_standard(location, log_scale, value))


def log_survival(
  location: Float[Array, "*#batch"], log_scale: Float[Array, "*#batch"], value: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
  """Returns log P(z > value), as exact as `log_cdf`."""
  return jax.nn.log_sigmoid(-_standard(location, log_scale, value))


def icdf(
  location: Float[Array, "*#batch"], log_scale: Float[Array, "*#batch"], probability: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
  """Returns the value with P(z <= value) = probability, in (0, 1)."""
  return location + jnp.exp(log_scale) * jax.scipy.special.logit(probability)


def sample(
  key: Key[Array, ""], location: Float[Array, "*batch"], log_scale: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
  """Draws location + exp(log_scale) * noise; differentiable in both.

  Numerics: the noise is the logit of a multiple of 2^-23, and in JAX one in 2^23 draws is 0, of logit -87. Here that
  one is the logit of 2^-24, the middle of its cell.
  """
  noise = jnp.maximum(jax.random.logistic(key, location.shape), jax.scipy.special.logit(2.0**-24))
  return location + jnp.exp(log_scale) * noise


def _standard(location: Array, log_scale: Array, value: Array) -> Array:
  return (value - location) * jnp.exp(-log_scale)
