"""The nonlinear squared flow of one number: x = a + b y + c / (1 + (d y + f)^2), increasing in y.

Of raw numbers r: a = r_1, b = exp(0.4 r_2), d = exp(0.4 r_4), f = r_5, and c = kappa b / d with kappa =
(8 sqrt(3) / 9 - 0.05) tanh(0.3 r_3), so that the slope is at least 0.0325 b. A slope that small leaves a gap in the
density of y: one such layer makes two modes of a normal.

With w = d y + f and s = (x - a) d / b + f, y is found from w + kappa / (1 + w^2) = s, a cubic with one real root.

Reference: Ziegler and Rush (2019), arXiv:1901.10548.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

NUM_PARAMETERS = 5
_LARGEST = 8 * math.sqrt(3) / 9 - 0.05  # of kappa; at 8 sqrt(3) / 9 the slope would touch 0
_SMALLEST = 1e-6  # of |p|, which is divided by: taken for it, the root is as good where p is 0 or nearly


def forward(
  x: Float[Array, "*batch"], raw: Float[Array, "*batch 5"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
  """Returns (y, log dy/dx), by the formula for cubics and a step of Newton's method.

  The step removes what rounding the formula costs, and carries the gradients, which are those of the implicit function.
  """
  shift, log_b, kappa, log_d, offset = _coefficients(raw)
  s = (x - shift) * jnp.exp(log_d - log_b) + offset
  root = jax.lax.stop_gradient(_real_root(s, kappa))
  slope = jax.lax.stop_gradient(_slope(root, kappa))
  w = root - (root + kappa / (1.0 + jnp.square(root)) - s) / slope
  return (w - offset) * jnp.exp(-log_d), -log_b - jnp.log(_slope(w, kappa))


def inverse(
  y: Float[Array, "*batch"], raw: Float[Array, "*batch 5"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
  """Returns (x, log dx/dy), in closed form."""
  shift, log_b, kappa, log_d, offset = _coefficients(raw)
  w = jnp.exp(log_d) * y + offset
  x = shift + jnp.exp(log_b) * y + kappa * jnp.exp(log_b - log_d) / (1.0 + jnp.square(w))
  return x, log_b + jnp.log(_slope(w, kappa))


def _coefficients(raw: Array) -> tuple[Array, ...]:
  """Returns a, log b, kappa, log d and f."""
  first, second, third, fourth, fifth = jnp.moveaxis(raw, -1, 0)
  return first, 0.4 * second, _LARGEST * jnp.tanh(0.3 * third), 0.4 * fourth, fifth


def _slope(w: Array, kappa: Array) -> Array:
  """Returns dx/dy / b."""
  return 1.0 - 2.0 * kappa * w / jnp.square(1.0 + jnp.square(w))


def _real_root(s: Array, kappa: Array) -> Array:
  """Returns w with w^3 - s w^2 + w + kappa - s = 0, by hyperbolic functions: good in float32 for all signs of p."""
  p = 1.0 - jnp.square(s) / 3.0
  q = -2.0 * s**3 / 27.0 - 2.0 * s / 3.0 + kappa
  size = jnp.maximum(jnp.abs(p), _SMALLEST)
  ratio, root = 1.5 * jnp.abs(q) / size * jnp.sqrt(3.0 / size), 2.0 * jnp.sqrt(size / 3.0)
  rising = root * jnp.sinh(jnp.arcsinh(ratio) / 3.0)
  folded = root * jnp.cosh(jnp.arccosh(jnp.maximum(ratio, 1.0)) / 3.0)
  return s / 3.0 - jnp.sign(q) * jnp.where(p > 0, rising, folded)
