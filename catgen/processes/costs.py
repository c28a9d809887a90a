"""Terms r - 1 - ln r, of which the divergences of processes are sums, without differences of nearly equal numbers."""

import math

import jax.numpy as jnp
from jaxtyping import Array

HUGE = 1e37  # ratios beyond it belong to classes of no weight
LOG_HUGE = math.log(HUGE)
_ARTANH = (1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3)  # (artanh(z) - z) / z^3 by powers of z^2, for |z| <= 1/3


def log_mixed(log_values: Array, keep: Array, rest: Array) -> Array:
  """Returns log(keep exp(log_values) + rest), where any of them may be zero and the exponential may underflow.

  Where all of it is zero it is -inf, with a slope of zero.
  """
  nothing = (rest == 0) & jnp.isneginf(log_values)
  mixed = jnp.logaddexp(jnp.log(rest), jnp.log(keep) + jnp.where(nothing, 0.0, log_values))
  return jnp.where(nothing, -jnp.inf, mixed)


def is_near(q: Array, d: Array) -> Array:
  """Returns whether p / q = 1 + d is so near to 1 that ln(1 + d) is summed up as a series of d."""
  return (q > 0) & (jnp.abs(d) < 0.5)


def cost_of(q: Array, p: Array, d: Array, log_r: Array) -> Array:
  """Returns q (d - ln(1 + d)) with 1 + d = p / q, all of them known; it is p where q is zero.

  Numerics: ln(1 + d) = 2 artanh(z) with z = d / (2 + d), by its series where |d| < 1/2.
  """
  near = is_near(q, d)
  small = jnp.where(near, d, 0.0)
  z = small / (2.0 + small)
  series = jnp.polyval(jnp.asarray(_ARTANH), z * z)
  return jnp.where(near, q * z * (small - 2.0 * z * z * series), p - q - q * jnp.where(q > 0, log_r, 0.0))
