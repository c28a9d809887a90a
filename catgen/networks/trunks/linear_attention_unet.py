"""The paper's trunk of segmentation maps: a U-Net with linear attention, one time vector for all blocks."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, Key

from catgen.interfaces import InputError
from catgen.keys import fold_in
from catgen.networks.conditions import Conditions
from catgen.networks.parts.convolution import Convolution, Doubling, blank_invalid, check_multiple
from catgen.networks.parts.dropout import check_rate, dropout
from catgen.networks.parts.linear import Linear
from catgen.networks.parts.precision import compute_dtype
from catgen.networks.parts.time import time_features
from catgen.networks.trunk import Abilities, Ends

_GROUPS, _HEADS, _HEAD_DIM = 8, 4, 32


def mish(x: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
  """Returns x tanh(log(1 + e^x)), by one exponential: with n = e^x (e^x + 2) it is x n / (n + 2)."""
  exponential = jnp.exp(jnp.minimum(x, 20.0))  # beyond, the factor is 1 to all digits
  n = exponential * (exponential + 2.0)
  return x * (n / (n + 2.0))


class ConvNormMish(nnx.Module):
  """3 x 3 convolution, group norm of 8 groups, Mish."""

  def __init__(self, num_inputs: int, num_outputs: int, *, dtype: np.dtype, rngs: nnx.Rngs) -> None:
    self.conv = Convolution(num_inputs, num_outputs, dtype=dtype, rngs=rngs)
    self.norm = nnx.GroupNorm(num_outputs, _GROUPS, epsilon=1e-5, use_fast_variance=False, dtype=dtype, rngs=rngs)

  def __call__(self, h: Float[Array, "batch height width inputs"]) -> Float[Array, "batch height width outputs"]:
    """Returns features of every position."""
    return mish(self.norm(self.conv(h)))


class ResidualBlock(nnx.Module):
  """Two `ConvNormMish` with the time vector added between them, and a skip, linear where the width changes."""

  def __init__(
    self, num_inputs: int, num_outputs: int, time_width: int | None, *, dtype: np.dtype, rngs: nnx.Rngs
  ) -> None:
    self.first = ConvNormMish(num_inputs, num_outputs, dtype=dtype, rngs=rngs)
    self.time: Any = None if time_width is None else Linear(time_width, num_outputs, init="uniform", rngs=rngs)
    self.second = ConvNormMish(num_outputs, num_outputs, dtype=dtype, rngs=rngs)
    same = num_inputs == num_outputs
    self.skip = None if same else Convolution(num_inputs, num_outputs, 1, dtype=dtype, rngs=rngs)

  def __call__(
    self, h: Float[Array, "batch height width inputs"], time: Float[Array, "batch time_width"] | None
  ) -> Float[Array, "batch height width outputs"]:
    """Returns features; `time` has not gone through Mish yet."""
    inner = self.first(h)
    if time is not None:
      inner = inner + self.time(mish(time))[:, None, None].astype(h.dtype)
    return self.second(inner) + (h if self.skip is None else self.skip(h))


class LinearAttention(nnx.Module):
  """A residual of linear attention, 4 heads of 32, times a scalar that is zero at first (ReZero).

  Keys go through a softmax over positions; queries are not normalized, as in the original.
  """

  def __init__(self, width: int, *, dtype: np.dtype, rngs: nnx.Rngs) -> None:
    inner = _HEADS * _HEAD_DIM
    self.query_key_value = Linear(width, 3 * inner, use_bias=False, init="uniform", dtype=dtype, rngs=rngs)
    self.output = Linear(inner, width, init="uniform", dtype=dtype, rngs=rngs)
    self.scale = nnx.Param(jnp.zeros(()))

  def __call__(self, h: Float[Array, "batch height width features"]) -> Float[Array, "batch height width features"]:
    """Returns h plus what attention over all positions gives."""
    split = self.query_key_value(h).reshape(len(h), -1, 3, _HEADS, _HEAD_DIM)
    query, key, value = split[:, :, 0], split[:, :, 1], split[:, :, 2]
    key = jax.nn.softmax(key.astype(jnp.float32), axis=1).astype(h.dtype)
    context = jnp.einsum("blhd,blhe->bhde", key, value)
    mixed = jnp.einsum("bhde,blhd->blhe", context, query).reshape(*h.shape[:3], -1)
    return h + (self.output(mixed) * self.scale[...]).astype(h.dtype)


class Stage(nnx.Module):
  """Two residual blocks, dropout between them, and attention: one resolution, down, middle or up."""

  def __init__(
    self, num_inputs: int, num_outputs: int, time_width: int | None, rate: float, *, dtype: np.dtype, rngs: nnx.Rngs
  ) -> None:
    self.rate = rate
    self.first = ResidualBlock(num_inputs, num_outputs, time_width, dtype=dtype, rngs=rngs)
    self.second = ResidualBlock(num_outputs, num_outputs, time_width, dtype=dtype, rngs=rngs)
    self.attention = LinearAttention(num_outputs, dtype=dtype, rngs=rngs)

  def down(
    self,
    h: Float[Array, "batch height width inputs"],
    time: Float[Array, "batch time_width"] | None,
    keys: Key[Array, "batch"] | None = None,
  ) -> Float[Array, "batch height width outputs"]:
    """Returns block, dropout, block, attention; the way up has no dropout, and so gives no keys."""
    h = dropout(keys, self.first(h, time), self.rate)
    return self.attention(self.second(h, time))

  def middle(
    self, h: Float[Array, "batch height width inputs"], time: Float[Array, "batch time_width"] | None
  ) -> Float[Array, "batch height width outputs"]:
    """Returns block, attention, block."""
    return self.second(self.attention(self.first(h, time)), time)


class LinearAttentionUNet(nnx.Module):
  """The network of the paper's segmentation maps, parameter for parameter: as a denoiser the published one.

  Heights and widths are multiples of 2^(levels - 1). As in the original, the skip of the first level is not used (three
  ways up follow four levels), and where outputs should start at zero they start at random.

  Args:
    width: features of the first level, a multiple of 8.
    multipliers: features of each level over the width.
    dropout: probability, in training, between the two blocks of each level on the way down.
    dtype: "float32" or "bfloat16", of activations; parameters and outputs stay float32.

  Reference: arXiv:2102.05379, segmentation maps, after Ho et al. (2020).
  """

  abilities = Abilities(time=True, num_axes=2)

  def __init__(
    self,
    ends: Ends,
    *,
    rngs: nnx.Rngs,
    width: int = 64,
    multipliers: Sequence[int] = (1, 2, 4, 8),
    dropout: float = 0.1,
    dtype: str = "float32",
  ) -> None:
    check_multiple(ends.event_shape, 2 ** (len(multipliers) - 1), "linear_attention_unet")
    if width % _GROUPS:
      raise InputError(f"width {width} of linear_attention_unet must be a multiple of {_GROUPS}")
    self.num_inputs = self.num_outputs = self.width = width
    self.read_in, self.dtype = None, compute_dtype(dtype)
    widths, rate = [width] + [width * m for m in multipliers], check_rate(dropout)
    time_width = width if ends.timed else None
    stage = functools.partial(Stage, time_width=time_width, rate=rate, dtype=self.dtype, rngs=rngs)
    if ends.timed:
      self.time_hidden = Linear(width, 4 * width, init="uniform", rngs=rngs)
      self.time_output = Linear(4 * width, width, init="uniform", rngs=rngs)
    self.down = nnx.List([stage(before, after) for before, after in itertools.pairwise(widths)])
    self.halve = nnx.List([Convolution(w, w, stride=2, dtype=self.dtype, rngs=rngs) for w in widths[1:-1]])
    self.middle = stage(widths[-1], widths[-1])
    pairs = list(itertools.pairwise(widths))[:0:-1]
    self.up = nnx.List([stage(2 * after, before) for before, after in pairs])
    self.double = nnx.List([Doubling(before, dtype=self.dtype, rngs=rngs) for before, _ in pairs])
    self.last = ConvNormMish(widths[1], width, dtype=self.dtype, rngs=rngs)
    self.head = Linear(width, ends.num_outputs, init="uniform", rngs=rngs) if ends.init == "zeros" else None

  def __call__(
    self, h: Float[Array, "batch height width inputs"], conditions: Conditions
  ) -> Float32[Array, "batch height width outputs"]:
    """See `Trunk`."""
    vector = None if conditions.time is None else self._vector(conditions.time)
    h = blank_invalid(h, conditions.valid).astype(self.dtype)
    skips = []
    for level, stage in enumerate(self.down):
      h = stage.down(h, vector, fold_in(conditions.keys, level))
      skips.append(h)
      h = self.halve[level](h) if level < len(self.halve) else h
    h = self.middle.middle(h, vector)
    for stage, double in zip(self.up, self.double, strict=True):
      h = double(stage.down(jnp.concatenate([h, skips.pop()], axis=-1), vector))
    return self.last(h).astype(jnp.float32)

  def _vector(self, time: Array) -> Array:
    return self.time_output(mish(self.time_hidden(time_features(time, self.width))))
