"""A DenseNet over maps: every layer reads what all layers before it wrote."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key

from catgen.keys import fold_in
from catgen.networks.conditioning import dropout
from catgen.networks.convolution import convolution
from catgen.networks.linear import Linear


class DenseLayer(nnx.Module):
  """1 x 1 convolution, SiLU, 3 x 3 convolution, gate: `growth` new features beside the old ones."""

  def __init__(self, num_inputs: int, growth: int, *, dtype: np.dtype, rngs: nnx.Rngs) -> None:
    self.narrow = Linear(num_inputs, growth, init="uniform", dtype=dtype, rngs=rngs)
    self.spread = convolution(growth, 2 * growth, dtype=dtype, rngs=rngs)

  def __call__(self, h: Float[Array, "batch height width inputs"]) -> Float[Array, "batch height width growth"]:
    """Returns the new features."""
    value, gate = jnp.split(self.spread(jax.nn.silu(self.narrow(h))), 2, axis=-1)
    return value * jax.nn.sigmoid(gate)


class DenseNet(nnx.Module):
  """A 3 x 3 convolution to `width` features, `num_layers` dense layers, and a linear layer of all features.

  Args:
    growth: features that a layer adds. dropout: probability, in training, of a feature of the last layer.
    zeros: outputs do not depend on inputs at first. They still differ from each other by the bias, or the components of
      a mixture would stay equal forever. Both are uniform within 1 / sqrt(fan in), the kernel without `zeros`.

  Reference: Huang et al. (2017); gates as in van den Oord et al. (2016).
  """

  def __init__(
    self,
    num_inputs: int,
    num_outputs: int,
    *,
    width: int,
    num_layers: int,
    growth: int,
    dropout: float,
    zeros: bool,
    dtype: np.dtype,
    rngs: nnx.Rngs,
  ) -> None:
    self.rate, self.dtype = dropout, dtype
    self.first = convolution(num_inputs, width, dtype=dtype, rngs=rngs)
    self.layers = nnx.List([DenseLayer(width + i * growth, growth, dtype=dtype, rngs=rngs) for i in range(num_layers)])
    self.last = Linear(width + num_layers * growth, num_outputs, init="uniform", rngs=rngs)
    if zeros:
      self.last.kernel[...] = jnp.zeros_like(self.last.kernel[...])

  def __call__(
    self, x: Float[Array, "batch height width inputs"], keys: Key[Array, "batch"] | None = None
  ) -> Float[Array, "batch height width outputs"]:
    """Returns float32 features; keys = None means no dropout."""
    h = self.first(x.astype(self.dtype))
    for layer in self.layers:
      h = jnp.concatenate([h, layer(h)], axis=-1)
    h = h if keys is None else dropout(fold_in(keys, 0), h, self.rate)
    return self.last(jax.nn.silu(h).astype(jnp.float32))
