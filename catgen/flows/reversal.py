"""The sequence read backward."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key


class Reversal(nnx.Module):
  """Reverses the order of positions; the volume stays."""

  def forward(
    self,
    z: Float[Array, "batch length channels"],
    *,
    context: Float[Array, "batch length context"] | None = None,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> tuple[Float[Array, "batch length channels"], Float[Array, "batch"]]:
    """Returns (v, 0)."""
    return self.move(z), jnp.zeros(len(z))

  inverse = forward

  def move(self, values: Array) -> Array:
    """Returns values [batch, length, ...] of positions where this layer puts them, in either direction."""
    return values[:, ::-1]

  move_back = move
