"""The paper's text trunk: local and linear attention heads, axial positions, one time vector per layer."""

import functools
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32

from catgen.interfaces import InputError
from catgen.kernels.activation import gelu
from catgen.kernels.attention import attend_linearly, attend_locally
from catgen.networks.conditions import Conditions
from catgen.networks.parts.linear import Linear
from catgen.networks.parts.precision import compute_dtype
from catgen.networks.parts.time import time_features
from catgen.networks.trunk import Abilities, Ends


class LocalLinearBlock(nnx.Module):
  """Pre-norm residual attention, then a pre-norm residual perceptron with exact GELU.

  The first half of the heads attends locally by softmax, the second half linearly over all positions.
  """

  def __init__(self, width: int, num_heads: int, window: int, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
    self.num_heads, self.window = num_heads, window
    linear = functools.partial(Linear, init="uniform", dtype=dtype, rngs=rngs)
    norm = functools.partial(nnx.LayerNorm, width, epsilon=1e-5, dtype=dtype, rngs=rngs)
    self.attention_norm = norm()
    self.query_key_value = linear(width, 3 * width, use_bias=False)
    self.attention_output = linear(width, width)
    self.mlp_norm = norm()
    self.mlp_hidden = linear(width, 4 * width)
    self.mlp_output = linear(4 * width, width)

  def __call__(
    self, h: Float[Array, "batch length width"], valid: Bool[Array, "batch length"] | None
  ) -> Float[Array, "batch length width"]:
    """Returns h after both residual branches."""
    h = h + self.attention_output(self.attend(self.query_key_value(self.attention_norm(h)), valid))
    return h + self.mlp_output(gelu(self.mlp_hidden(self.mlp_norm(h))))

  def attend(
    self, query_key_value: Float[Array, "batch length three_width"], valid: Bool[Array, "batch length"] | None
  ) -> Float[Array, "batch length width"]:
    """Returns the heads' outputs side by side, local ones first."""
    batch, length, _ = query_key_value.shape
    split = query_key_value.reshape(batch, length, 3, self.num_heads, -1)
    local, linear = jnp.split(split, [self.num_heads // 2], axis=3)
    near = attend_locally(local[:, :, 0], local[:, :, 1], local[:, :, 2], window=self.window, valid=valid)
    far = attend_linearly(linear[:, :, 0], linear[:, :, 1], linear[:, :, 2], valid=valid)
    return jnp.concatenate([near, far], axis=2).reshape(batch, length, -1)


class ScaledHead(nnx.Module):
  """A linear layer times a scalar that is zero at first (ReZero)."""

  def __init__(self, num_inputs: int, num_outputs: int, *, rngs: nnx.Rngs) -> None:
    self.output = Linear(num_inputs, num_outputs, init="uniform", rngs=rngs)
    self.scale = nnx.Param(jnp.zeros(()))

  def __call__(self, h: Float32[Array, "*positions inputs"]) -> Float32[Array, "*positions outputs"]:
    """Returns outputs in float32."""
    return self.output(h) * self.scale[...]


class LocalLinearTransformer(nnx.Module):
  """The network of the paper's text experiments, parameter for parameter: as a denoiser the published one.

  Events are flattened to one sequence, of a length that `window` divides. Where outputs start at zero, the head is the
  paper's own, a linear layer times a scalar that is zero at first. There is no dropout: keys are unused.

  Args:
    window: positions of a local attention window; also the length of the second axial table.
    width: features of a position.
    num_layers: blocks.
    num_heads: even, and a divisor of the width; the first half attends locally, the second half linearly.
    dtype: "float32" or "bfloat16", of activations; parameters and outputs stay float32.

  Initialization: positions N(0, 1), linear layers uniform within 1 / sqrt(fan in), as in the original.
  Reference: arXiv:2102.05379, text experiments and their appendix.
  """

  abilities = Abilities(time=True)

  def __init__(
    self,
    ends: Ends,
    *,
    rngs: nnx.Rngs,
    window: int = 128,
    width: int = 512,
    num_layers: int = 12,
    num_heads: int = 16,
    dtype: str = "float32",
  ) -> None:
    length = math.prod(ends.event_shape)
    if length % window:
      raise InputError(f"window {window} does not divide the {length} positions of an event: choose one that does")
    if num_heads % 2 or width % num_heads:
      raise InputError(f"num_heads must be even and divide width {width}, not {num_heads}")
    self.num_inputs = self.num_outputs = self.width = width
    self.read_in, self.dtype = None, compute_dtype(dtype)
    self.window_positions = nnx.Param(jax.random.normal(rngs.params(), (length // window, width)))
    self.inner_positions = nnx.Param(jax.random.normal(rngs.params(), (window, width)))
    if ends.timed:
      self.time_hidden = Linear(width, 4 * width, init="uniform", rngs=rngs)
      self.time_output = Linear(4 * width, width * num_layers, init="uniform", rngs=rngs)
    self.blocks = nnx.List([LocalLinearBlock(width, num_heads, window, self.dtype, rngs) for _ in range(num_layers)])
    self.norm = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs)
    self.head = ScaledHead(width, ends.num_outputs, rngs=rngs) if ends.init == "zeros" else None

  def __call__(
    self, h: Float[Array, "batch *event inputs"], conditions: Conditions
  ) -> Float32[Array, "batch *event outputs"]:
    """See `Trunk`."""
    batch = len(h)
    positions = self.window_positions[...][:, None] + self.inner_positions[...][None]
    flat = (h.reshape(batch, -1, self.width) + positions.reshape(1, -1, self.width)).astype(self.dtype)
    valid = None if conditions.valid is None else conditions.valid.reshape(batch, -1)
    vectors = None if conditions.time is None else self._vectors(conditions.time)
    for i, block in enumerate(self.blocks):
      flat = block(flat if vectors is None else flat + vectors[:, i], valid)
    return self.norm(flat.astype(jnp.float32)).reshape(h.shape)

  def _vectors(self, time: Array) -> Array:
    """Returns the time vector of every layer, [batch, layers, 1, width]."""
    vectors = self.time_output(jax.nn.softplus(self.time_hidden(time_features(time, self.width))))
    return vectors.reshape(len(time), len(self.blocks), 1, self.width).astype(self.dtype)
