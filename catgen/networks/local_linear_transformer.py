"""The paper's text network: local and linear attention heads, axial positions, one time vector per layer."""

import functools
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.interfaces import InputError
from catgen.networks.attention import attend_linearly, attend_locally
from catgen.networks.conditioning import time_features
from catgen.networks.embedding import Embedding
from catgen.networks.linear import Linear
from catgen.networks.precision import compute_dtype


@jax.checkpoint
def _gelu(x: Array) -> Array:
  """Exact GELU, of which only the argument is kept for the backward pass: less memory, and faster on CPUs."""
  return jax.nn.gelu(x, approximate=False)


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
    return h + self.mlp_output(_gelu(self.mlp_hidden(self.mlp_norm(h))))

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


class LocalLinearTransformer(nnx.Module):
  """The denoising network of the paper's text experiments, parameter for parameter.

  Args:
    event_shape: flattened to one sequence of a length that `window` divides.
    num_inputs, num_outputs: categories in (with a mask state, one more) and logits out.
    window: positions of a local attention window; also the length of the second axial table.
    width, num_layers, num_heads: num_heads is even and divides width.
    dtype: "float32" or "bfloat16", of activations; parameters and logits stay float32.

  Initialization: embeddings and positions N(0, 1), linear layers uniform within 1 / sqrt(fan in), as in the
  original; the scalar that multiplies the logits is 0 (ReZero), so an untrained network predicts uniformly.
  There is no dropout: `keys` are accepted, as every network does, and unused.
  Reference: arXiv:2102.05379, text experiments and their appendix.
  """

  def __init__(
    self,
    event_shape: tuple[int, ...],
    num_inputs: int,
    num_outputs: int,
    *,
    rngs: nnx.Rngs,
    window: int = 128,
    width: int = 512,
    num_layers: int = 12,
    num_heads: int = 16,
    dtype: str = "float32",
  ) -> None:
    length = math.prod(event_shape)
    if length % window:
      raise InputError(f"window {window} does not divide the {length} positions of an event: choose one that does")
    if num_heads % 2 or width % num_heads:
      raise InputError(f"num_heads must be even and divide width {width}, not {num_heads}")
    self.event_shape, self.width, self.dtype = tuple(event_shape), width, compute_dtype(dtype)
    self.embedding = Embedding(num_inputs, width, rngs=rngs)
    self.window_positions = nnx.Param(jax.random.normal(rngs.params(), (length // window, width)))
    self.inner_positions = nnx.Param(jax.random.normal(rngs.params(), (window, width)))
    self.time_hidden = Linear(width, 4 * width, init="uniform", rngs=rngs)
    self.time_output = Linear(4 * width, width * num_layers, init="uniform", rngs=rngs)
    self.blocks = nnx.List([LocalLinearBlock(width, num_heads, window, self.dtype, rngs) for _ in range(num_layers)])
    self.norm = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs)
    self.head = Linear(width, num_outputs, init="uniform", rngs=rngs)
    self.logit_scale = nnx.Param(jnp.zeros(()))

  def __call__(
    self,
    x: Int[Array, "batch *event"],
    time: Float[Array, "batch"],
    *,
    valid: Bool[Array, "batch *event"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> Float[Array, "batch *event outputs"]:
    """Returns logits of the clean category at every position; time in [0, 1], invalid positions unseen."""
    del keys
    batch = x.shape[0]
    positions = self.window_positions[...][:, None] + self.inner_positions[...][None]
    h = (self.embedding(x.reshape(batch, -1)) + positions.reshape(1, -1, self.width)).astype(self.dtype)
    vectors = self.time_output(jax.nn.softplus(self.time_hidden(time_features(time, self.width))))
    vectors = vectors.reshape(batch, len(self.blocks), 1, self.width).astype(self.dtype)
    flat_valid = None if valid is None else valid.reshape(batch, -1)
    for i, block in enumerate(self.blocks):
      h = block(h + vectors[:, i], flat_valid)
    logits = self.head(self.norm(h.astype(jnp.float32))) * self.logit_scale[...]
    return logits.reshape(*x.shape, -1)
