"""A DenseNet over maps: every layer reads what all layers before it wrote."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32

from catgen.keys import fold_in
from catgen.networks.conditions import Conditions
from catgen.networks.parts.convolution import Convolution, blank_invalid
from catgen.networks.parts.dropout import check_rate, dropout
from catgen.networks.parts.linear import Linear
from catgen.networks.parts.precision import compute_dtype
from catgen.networks.trunk import Abilities, Ends


class DenseLayer(nnx.Module):
  """1 x 1 convolution, SiLU, 3 x 3 convolution, gate: `growth` new features beside the old ones."""

  def __init__(self, num_inputs: int, growth: int, *, dtype: np.dtype, rngs: nnx.Rngs) -> None:
    self.narrow = Linear(num_inputs, growth, init="uniform", dtype=dtype, rngs=rngs)
    self.spread = Convolution(growth, 2 * growth, dtype=dtype, rngs=rngs)

  def __call__(self, h: Float[Array, "batch height width inputs"]) -> Float[Array, "batch height width growth"]:
    """Returns the new features."""
    value, gate = jnp.split(self.spread(jax.nn.silu(self.narrow(h))), 2, axis=-1)
    return value * jax.nn.sigmoid(gate)


class DenseNet(nnx.Module):
  """A 3 x 3 convolution to `width` features, `num_layers` dense layers, and SiLU of what all of them wrote.

  A conditioner reads its channels by that convolution itself.

  Args:
    width: features before the first dense layer.
    num_layers: dense layers.
    growth: features that each of them adds.
    dropout: probability, in training, of a feature of the last layer.
    dtype: "float32" or "bfloat16", of activations; parameters and outputs stay float32.

  Reference: Huang et al. (2017); gates as in van den Oord et al. (2016).
  """

  abilities = Abilities(num_axes=2)

  def __init__(
    self,
    ends: Ends,
    *,
    rngs: nnx.Rngs,
    width: int = 64,
    num_layers: int = 10,
    growth: int = 64,
    dropout: float = 0.0,
    dtype: str = "float32",
  ) -> None:
    self.rate, self.dtype = check_rate(dropout), compute_dtype(dtype)
    self.num_inputs, self.num_outputs, self.head = width, width + num_layers * growth, None
    first = Convolution(width if ends.categorical else ends.num_inputs, width, dtype=self.dtype, rngs=rngs)
    self.read_in = None if ends.categorical else first
    self.first = first if ends.categorical else None
    widths = [width + i * growth for i in range(num_layers)]
    self.layers = nnx.List([DenseLayer(count, growth, dtype=self.dtype, rngs=rngs) for count in widths])

  def __call__(
    self, h: Float[Array, "batch height width inputs"], conditions: Conditions
  ) -> Float32[Array, "batch height width outputs"]:
    """See `Trunk`."""
    h = h.astype(self.dtype)
    if self.first is not None:
      h = self.first(blank_invalid(h, conditions.valid))
    for layer in self.layers:
      h = jnp.concatenate([h, layer(h)], axis=-1)
    h = dropout(fold_in(conditions.keys, 0), h, self.rate)
    return jax.nn.silu(h).astype(jnp.float32)
