"""Perceptrons: of transformer blocks, and of the paper's text flows."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, Key

from catgen.kernels.activation import gelu
from catgen.kernels.gated import gated
from catgen.networks.parts.dropout import dropout
from catgen.networks.parts.linear import Linear
from catgen.networks.parts.sizes import BlockSizes


class MLP(nnx.Module):
  """Linear layers with exact GELU between them (and, with `activate_last`, after them), PyTorch's initialization.

  relu: ReLU in place of GELU. dtype: of the products; what comes out is float32.
  """

  def __init__(
    self,
    *widths: int,
    activate_last: bool = False,
    relu: bool = False,
    dtype: np.dtype | type = jnp.float32,
    rngs: nnx.Rngs,
  ) -> None:
    self.activate_last, self.relu = activate_last, relu
    pairs = itertools.pairwise(widths)
    self.layers = nnx.List(
      [Linear(inputs, outputs, init="uniform", dtype=dtype, rngs=rngs) for inputs, outputs in pairs]
    )

  def __call__(self, x: Float[Array, "*batch inputs"]) -> Float32[Array, "*batch outputs"]:
    """Returns the last layer's features."""
    for i, layer in enumerate(self.layers):
      x = layer(x)
      if self.activate_last or i + 1 < len(self.layers):
        x = jax.nn.relu(x) if self.relu else gelu(x)
    return x.astype(jnp.float32)


class PlainMLP(nnx.Module):
  """output(relu(value(h))), with biases: the perceptron of Vaswani et al. (2017)."""

  def __init__(self, sizes: BlockSizes, *, rngs: nnx.Rngs) -> None:
    linear = functools.partial(Linear, init=sizes.init, dtype=sizes.dtype, rngs=rngs)
    self.value, self.output = linear(sizes.width, sizes.hidden_width), linear(sizes.hidden_width, sizes.width)
    self.rate = sizes.hidden_dropout

  def __call__(
    self, h: Float[Array, "batch length width"], keys: Key[Array, "batch"] | None
  ) -> Float[Array, "batch length width"]:
    """Returns the same perceptron at every position, before any dropout of what it gives."""
    return self.output(dropout(keys, jax.nn.relu(self.value(h)), self.rate))


class GatedMLP(nnx.Module):
  """SwiGLU: output(silu(gate(h)) * value(h)) (Shazeer, 2020)."""

  def __init__(self, width: int, hidden_width: int, *, dtype: np.dtype, rngs: nnx.Rngs) -> None:
    linear = functools.partial(Linear, use_bias=False, dtype=dtype, rngs=rngs)
    self.gate = linear(width, hidden_width)
    self.value = linear(width, hidden_width)
    self.output = linear(hidden_width, width)

  def __call__(self, h: Float[Array, "batch length width"]) -> Float[Array, "batch length width"]:
    """Returns the same perceptron at every position."""
    return self.output(gated(h.astype(self.gate.dtype), self.gate.kernel[...], self.value.kernel[...]))
