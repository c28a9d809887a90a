"""Softplus thresholding: noise u in R^M to v in the region where v[category] is the largest coordinate.

  v_c = T = u_c,   v_i = T - softplus(T - u_i) for i != c            (the paper's Eq. 6-7)

The Jacobian is triangular (T first): log |det| = sum_i logsigmoid(T - u_i). `gap` = T - v_i > 0 travels along, since in
float32 v_i rounds to T where u_i lies far above it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from catgen.distributions import categorical
from catgen.distributions.logarithms import log_expm1


class Thresholded(NamedTuple):
  """v, the logarithm of each diagonal entry of the Jacobian, and how far each coordinate is below the largest."""

  value: Float[Array, "*batch classes"]
  log_det: Float[Array, "*batch classes"]
  gap: Float[
    Array, "*batch classes"
  ]  # 0 for the category itself; elsewhere positive for T - u > -87, below which float32 gives 0


def forward(u: Float[Array, "*batch classes"], category: Int[Array, "*batch"]) -> Thresholded:
  """Returns v with argmax v = category. Numerics: exact and with finite gradients for all finite u."""
  own = categorical.indicator(category, u.shape[-1])
  top = categorical.take(u, category)[..., None]
  below = top - u
  gap = jnp.where(own, 0.0, jax.nn.softplus(below))
  return Thresholded(top - gap, jnp.where(own, 0.0, jax.nn.log_sigmoid(below)), gap)


def inverse(
  v: Float[Array, "*batch classes"], category: Int[Array, "*batch"]
) -> tuple[Float[Array, "*batch classes"], Float[Array, "*batch classes"]]:
  """Returns (u, log_det of the inverse) for v whose largest coordinate is the category.

  Numerics: infinite where another coordinate equals the largest one.
  """
  own = categorical.indicator(category, v.shape[-1])
  top = categorical.take(v, category)[..., None]
  below = log_expm1(jnp.where(own, 1.0, top - v))
  return jnp.where(own, v, top - below), jnp.where(own, 0.0, -jax.nn.log_sigmoid(below))


def forward_binary(u: Float[Array, "*batch"], bit: Int[Array, "*batch"]) -> Thresholded:
  """Returns z = softplus(u) for bit 1 and -softplus(u) for bit 0: one coordinate, whose sign is the bit.

  It is how the paper's code treats text. `gap` is |z|.
  """
  gap = jax.nn.softplus(u)
  return Thresholded(jnp.where(bit > 0, gap, -gap), jax.nn.log_sigmoid(u), gap)


def inverse_binary(
  z: Float[Array, "*batch"], bit: Int[Array, "*batch"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
  """Returns (u, log_det of the inverse) for z whose sign is the bit."""
  u = log_expm1(jnp.where(bit > 0, z, -z))
  return u, -jax.nn.log_sigmoid(u)
