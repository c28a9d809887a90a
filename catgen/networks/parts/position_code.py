"""The position as features, for networks that do not see it otherwise."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from catgen.networks.parts.linear import Linear


class PositionCode(nnx.Module):
  """A linear layer on the one-hot position and the one-hot position counted from the end.

  As part of a layer that has a bias of its own it needs none: use_bias = False.

  Reference: the paper's text flows, after CategoricalNF (Lippe and Gavves, 2021), where it is called a time code.
  """

  def __init__(self, length: int, width: int, *, use_bias: bool = True, rngs: nnx.Rngs) -> None:
    self.length = length
    self.linear = Linear(2 * length, width, use_bias=False, init="uniform", rngs=rngs)
    self.bias = nnx.Param(jnp.zeros((width,))) if use_bias else None

  def __call__(self) -> Float[Array, "length width"]:
    """Returns the features of all positions, one for one: the products with one-hot vectors are rows of the kernel."""
    kernel = self.linear.kernel[...]
    rows = kernel[: self.length] + kernel[self.length :][::-1]
    return rows if self.bias is None else rows + self.bias[...][None]
