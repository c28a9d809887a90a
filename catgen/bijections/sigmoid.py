"""y = 1 / (1 + exp(-x)), from the line to (0, 1)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def forward(x: Float[Array, "*batch"]) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
  """Returns (y, log dy/dx). Numerics: y rounds to 1 from x = 17 on; log dy/dx stays exact."""
  return jax.nn.sigmoid(x), jax.nn.log_sigmoid(x) + jax.nn.log_sigmoid(-x)


def inverse(y: Float[Array, "*batch"]) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
  """Returns (x, log dx/dy), for y in (0, 1); infinite at 0 and 1."""
  log_y, log_rest = jnp.log(y), jnp.log1p(-y)
  return log_y - log_rest, -log_y - log_rest
