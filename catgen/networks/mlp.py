"""Perceptrons of the paper's text flows."""

import itertools

import jax
from flax import nnx
from jaxtyping import Array, Float

from catgen.networks.linear import Linear


class MLP(nnx.Module):
  """Linear layers with exact GELU between them (and, with `activate_last`, after them), PyTorch's initialization."""

  def __init__(self, *widths: int, activate_last: bool = False, rngs: nnx.Rngs) -> None:
    self.activate_last = activate_last
    pairs = itertools.pairwise(widths)
    self.layers = nnx.List([Linear(inputs, outputs, init="uniform", rngs=rngs) for inputs, outputs in pairs])

  def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
    """Returns the last layer's features."""
    for i, layer in enumerate(self.layers):
      x = layer(x)
      if self.activate_last or i + 1 < len(self.layers):
        x = jax.nn.gelu(x, approximate=False)
    return x
