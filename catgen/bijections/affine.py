"""y = shift + exp(log_scale) x."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def forward(
  x: Float[Array, "*#batch"], shift: Float[Array, "*#batch"], log_scale: Float[Array, "*#batch"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
  """Returns (y, log dy/dx)."""
  y = shift + jnp.exp(log_scale) * x
  return y, jnp.broadcast_to(log_scale, y.shape)


def inverse(
  y: Float[Array, "*#batch"], shift: Float[Array, "*#batch"], log_scale: Float[Array, "*#batch"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
  """Returns (x, log dx/dy)."""
  x = (y - shift) * jnp.exp(-log_scale)
  return x, jnp.broadcast_to(-log_scale, x.shape)
