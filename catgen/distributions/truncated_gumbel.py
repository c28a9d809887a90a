"""The Gumbel distribution of a location, truncated to values below a bound T.

  log p(g) = location - g - exp(location - g) + exp(location - T)   for g < T

Reference: the paper's Algorithm 4, Eq. 8-10 and Table 5. A draw is -logaddexp(-T, -G) with G an untruncated Gumbel,
which equals T - softplus(T - G): truncating is softplus thresholding (`catgen.bijections.softplus_threshold`).

Numerics: differences of exp(location - T) are never formed; exp(location - T) (exp(T - g) - 1) is, in logarithms. In
float32 a draw can equal T when location - T is large; functions of the value then see the edge, so inference computes
its densities from the noise instead.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from catgen.distributions import gumbel
from catgen.distributions.logarithms import log1mexp, log_expm1


def log_prob(
  location: Float[Array, "*#batch"], bound: Float[Array, "*#batch"], value: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
  """Returns the log-density in nats, -inf above the bound."""
  inside = value <= bound
  below = jnp.where(inside, bound - value, 0.0)
  return jnp.where(inside, location - value - jnp.exp(_log_excess(location, bound, below)), -jnp.inf)


def log_cdf(
  location: Float[Array, "*#batch"], bound: Float[Array, "*#batch"], value: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
  """Returns log P(g <= value), 0 from the bound upward."""
  return -jnp.exp(_log_excess(location, bound, jnp.maximum(bound - value, 0.0)))


def cdf(
  location: Float[Array, "*#batch"], bound: Float[Array, "*#batch"], value: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
  """Returns P(g <= value)."""
  return jnp.exp(log_cdf(location, bound, value))


def log_survival(
  location: Float[Array, "*#batch"], bound: Float[Array, "*#batch"], value: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
  """Returns log P(g > value), -inf from the bound upward."""
  return log1mexp(_log_excess(location, bound, jnp.maximum(bound - value, 0.0)))


def icdf(
  location: Float[Array, "*#batch"], bound: Float[Array, "*#batch"], probability: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
  """Returns the value with P(g <= value) = probability, in (0, 1)."""
  return _below(bound, gumbel.icdf(location, probability))


def sample(
  key: Key[Array, ""], location: Float[Array, "*batch"], bound: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
  """Draws one value per location and bound."""
  return _below(bound, gumbel.sample(key, location))


def _below(bound: Array, value: Array) -> Array:
  return bound - jax.nn.softplus(bound - value)


def _log_excess(location: Array, bound: Array, below: Array) -> Array:
  """Returns log(exp(location - value) - exp(location - bound)), for below = bound - value >= 0."""
  return location - bound + log_expm1(below)
