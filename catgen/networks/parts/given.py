"""What is given of an example, as vectors that are added to a network's features."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from catgen.interfaces import InputError


class Given(nnx.Module):
  """A table for each attribute, one row a category and a last one for "not given", all zero at first.

  Args:
    sizes: categories of each attribute, as in `EventSpec.given`; the category `size` means that it is not given.
  """

  def __init__(self, sizes: tuple[int, ...], width: int) -> None:
    self.sizes = sizes
    self.tables = nnx.List([nnx.Param(jnp.zeros((size + 1, width))) for size in sizes])

  def __call__(self, given: Int[Array, "batch attributes"] | None) -> Float[Array, "examples width"]:
    """Returns the sum of the attributes' rows; None = nothing is given, and one example stands for all.

    Raises:
      InputError: there are more or fewer attributes than tables.
    """
    if given is None:
      given = jnp.array([self.sizes], jnp.int32)
    if given.shape[1] != len(self.sizes):
      raise InputError(f"{given.shape[1]} attributes are given, but the network was built for {len(self.sizes)}")
    rows = [table[...][given[:, number]] for number, table in enumerate(self.tables)]
    return jnp.stack(rows).sum(axis=0)
