"""Categories to vectors."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int


class Embedding(nnx.Module):
  """A table with one row for each of `num_inputs` categories, drawn from N(0, 1) as in PyTorch's default."""

  def __init__(self, num_inputs: int, width: int, *, dtype: np.dtype | type = jnp.float32, rngs: nnx.Rngs) -> None:
    self.dtype = jnp.dtype(dtype)
    self.embedding = nnx.Param(jax.random.normal(rngs.params(), (num_inputs, width)))

  def __call__(self, x: Int[Array, "batch *event"]) -> Float[Array, "batch *event width"]:
    """Returns the row of each category, in `dtype`."""
    return self.embedding[...][x].astype(self.dtype)
