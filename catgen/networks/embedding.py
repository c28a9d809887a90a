"""Categories to vectors."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

ONE_HOT_LIMIT = 512  # up to here a product with one-hot rows beats a gather, whose gradient is a slow scatter


class Embedding(nnx.Module):
  """A table with one row for each of `num_inputs` categories, drawn from N(0, scale^2)."""

  def __init__(
    self, num_inputs: int, width: int, *, scale: float = 1.0, dtype: jnp.dtype = jnp.float32, rngs: nnx.Rngs
  ) -> None:
    self.dtype = dtype
    self.embedding = nnx.Param(scale * jax.random.normal(rngs.params(), (num_inputs, width)))

  def __call__(self, x: Int[Array, "batch length"]) -> Float[Array, "batch length width"]:
    """Returns the row of each category."""
    table = self.embedding[...].astype(self.dtype)
    if len(table) <= ONE_HOT_LIMIT:
      return jax.nn.one_hot(x, len(table), dtype=self.dtype) @ table
    return table[x]
