"""Categories to vectors."""

import jax
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from catgen.meshes import gathered, spread


class Embedding(nnx.Module):
  """A table with one row for each of `num_inputs` categories, drawn from N(0, 1) as in PyTorch's default."""

  def __init__(self, num_inputs: int, width: int, *, key: Key[Array, ""]) -> None:
    self.embedding = nnx.Param(jax.random.normal(key, (num_inputs, width)))

  def __call__(self, x: Int[Array, "*batch"]) -> Float[Array, "*batch width"]:
    """Returns the row of each category, in float32."""
    return spread(gathered(self.embedding[...])[x])
