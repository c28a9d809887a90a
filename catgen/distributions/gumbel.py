"""The Gumbel distribution of a location (scale 1): log p(g) = location - g - exp(location - g).

Reference: the paper's Table 5 and Appendix; Maddison et al. (2014).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from catgen.distributions.logarithms import log1mexp


def log_prob(location: Float[Array, "*#batch"], value: Float[Array, "*#batch"]) -> Float[Array, "*batch"]:
  """Returns the log-density in nats. Numerics: -inf below location - 88, where no sample falls."""
  return location - value - jnp.exp(location - value)


def log_cdf(location: Float[Array, "*#batch"], value: Float[Array, "*#batch"]) -> Float[Array, "*batch"]:
  """Returns log P(g <= value) = -exp(location - value)."""
  return -jnp.exp(location - value)


def cdf(location: Float[Array, "*#batch"], value: Float[Array, "*#batch"]) -> Float[Array, "*batch"]:
  """Returns P(g <= value)."""
  return jnp.exp(log_cdf(location, value))


def log_survival(location: Float[Array, "*#batch"], value: Float[Array, "*#batch"]) -> Float[Array, "*batch"]:
  """Returns log P(g > value), about location - value far to the right."""
  return log1mexp(location - value)


def icdf(location: Float[Array, "*#batch"], probability: Float[Array, "*#batch"]) -> Float[Array, "*batch"]:
  """Returns the value with P(g <= value) = probability, in (0, 1).

  Numerics: a float32 probability has no digits near 1; `from_log_uniform` takes its logarithm instead.
  """
  return from_log_uniform(location, jnp.log(probability))


def from_log_uniform(location: Float[Array, "*#batch"], log_u: Float[Array, "*#batch"]) -> Float[Array, "*batch"]:
  """Returns location - log(-log u), for log_u < 0: exact at both ends of (0, 1)."""
  return location - jnp.log(-log_u)


def sample(key: Key[Array, ""], location: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
  """Draws one value per location, with the right tail of JAX's high-precision mode."""
  return location + jax.random.gumbel(key, location.shape, mode="high")
