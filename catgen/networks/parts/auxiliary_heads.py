"""Heads that only training needs: what the layers of a causal network predict beside its own prediction."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from catgen.meshes import spread

Costs = Float[Array, "batch *event"]


class AuxiliaryHeads(nnx.Module):
  """A linear layer, zero at first, for each layer but the last, and maybe one of each layer for the category after.

  None shares a parameter with another, or with the head of the network.

  Args:
    num_layers: of the trunk.
    width, num_outputs: features in, logits out.
    intermediate: the layers before the last predict too.
    second: those that predict also predict the category that follows.

  Reference: Al-Rfou et al. (2019), arXiv:1808.04444.
  """

  def __init__(self, num_layers: int, width: int, num_outputs: int, *, intermediate: bool, second: bool) -> None:
    def heads(wanted: bool, number: int) -> Any:
      shapes = {"kernels": (number, width, num_outputs), "biases": (number, num_outputs)}
      return nnx.Dict({name: nnx.Param(jnp.zeros(shape)) for name, shape in shapes.items()}) if wanted else None

    self.first = heads(intermediate and num_layers > 1, num_layers - 1)
    self.second = heads(second, num_layers if intermediate else 1)

  def __call__(
    self,
    features: Float[Array, "layers batch *event width"],
    on: Float[Array, "layers"],
    cost: Callable[[Array, Array], Costs],
    x: Int[Array, "batch *event"],
    following: Int[Array, "batch *event"],
  ) -> tuple[Costs, Costs]:
    """Returns the sums over layers of `cost(logits, categories)`: of x but by the last layer, and of what follows.

    Args:
      features: of every layer.
      on: whether a layer counts, as a weight; layers of weight zero cost nothing.
      cost: what is summed, of each position.
      x, following: the categories that the two heads of a layer predict.
    """
    none = jnp.zeros(x.shape)

    def total(heads: Any, layers: slice, categories: Array) -> Costs:
      if heads is None:
        return none

      def of_layer(weight: Array, *layer: Array) -> Costs:
        h, kernel, bias = layer
        logits = h.astype(jnp.float32).reshape(-1, h.shape[-1]) @ kernel + bias[None]
        return weight * cost(spread(logits.reshape(*h.shape[:-1], -1)), categories)

      def add(sums: Costs, layer: tuple[Array, ...]) -> tuple[Costs, None]:
        return sums + jax.lax.cond(layer[0] > 0, jax.checkpoint(of_layer), lambda *_: none, *layer), None

      return jax.lax.scan(add, none, (on[layers], features[layers], heads.kernels[...], heads.biases[...]))[0]

    last = slice(len(on) - 1, None) if self.first is None else slice(None)
    return total(self.first, slice(0, len(on) - 1), x), total(self.second, last, following)
