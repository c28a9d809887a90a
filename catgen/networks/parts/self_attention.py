"""Multi-head self-attention over a sequence, whole or one position at a time from a cache."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from catgen.kernels.attention import attend
from catgen.kernels.convolution import convolve_sequence
from catgen.meshes import spread_heads
from catgen.networks.parts.linear import Linear
from catgen.networks.parts.norm import rms_norm
from catgen.networks.parts.rotary import rotate
from catgen.networks.parts.sizes import BlockSizes


class Cache(NamedTuple):
  """What one attention layer keeps while decoding."""

  keys: Float[Array, "batch length heads dim"]
  values: Float[Array, "batch length heads dim"]
  recent: Float[Array, "batch taps width"]  # the last inputs of the convolution


class SelfAttention(nnx.Module):
  """Multi-head attention with rotary positions and RMS-normalized queries and keys, maybe after a convolution."""

  def __init__(self, sizes: BlockSizes, *, rngs: nnx.Rngs) -> None:
    width, self.sizes = sizes.width, sizes
    head_dim = width // sizes.num_heads
    linear = functools.partial(Linear, width, width, use_bias=False, dtype=sizes.dtype, rngs=rngs)
    self.query, self.key, self.value = linear(), linear(), linear()
    self.query_scale = nnx.Param(jnp.ones((head_dim,)))
    self.key_scale = nnx.Param(jnp.ones((head_dim,)))
    self.output = linear()
    self.before = (
      max(sizes.conv_width - 1, 0) if sizes.causal else sizes.conv_width // 2
    )  # taps before the position itself
    if sizes.conv_width:
      self.conv = nnx.Param(jnp.zeros((sizes.conv_width, width)).at[self.before].set(1.0))

  def __call__(
    self,
    h: Float[Array, "batch length width"],
    angles: Float[Array, "length half"],
    *,
    valid: Bool[Array, "batch length"] | None,
  ) -> Float[Array, "batch length width"]:
    """Returns the attention of every position to the valid ones (the preceding ones, itself included, if causal)."""
    if self.sizes.conv_width:
      clean = h if valid is None else jnp.where(valid[..., None], h, jnp.zeros_like(h))
      padded = jnp.pad(clean, [(0, 0), (self.before, self.sizes.conv_width - 1 - self.before), (0, 0)])
      h = convolve_sequence(padded, self.conv[...])
    query, key, value = self.project(h, angles)
    return self.output(attend(query, key, value, valid=valid, causal=self.sizes.causal).reshape(h.shape))

  def project(self, h: Float[Array, "batch length width"], angles: Float[Array, "length half"]) -> tuple[Array, ...]:
    """Returns query, key and value, each [batch, length, heads, dim], the first two normalized and rotated."""
    shape = (*h.shape[:2], self.sizes.num_heads, -1)
    query, key, value = (spread_heads(part(h).reshape(shape)) for part in (self.query, self.key, self.value))
    cosine, sine = jnp.cos(angles), jnp.sin(angles)
    query = rotate(rms_norm(query, self.query_scale[...]), cosine, sine)
    return query, rotate(rms_norm(key, self.key_scale[...]), cosine, sine), value

  def init_cache(self, batch_size: int, length: int) -> Cache:
    """Returns an empty cache for sequences of this length."""
    sizes = self.sizes
    heads = jnp.zeros((batch_size, length, sizes.num_heads, sizes.width // sizes.num_heads), sizes.dtype)
    return Cache(heads, heads, jnp.zeros((batch_size, self.before, sizes.width), sizes.dtype))

  def decode(
    self,
    h: Float[Array, "batch 1 width"],
    angles: Float[Array, "1 half"],
    *,
    cache: Cache,
    position: Int[Array, ""],
  ) -> tuple[Float[Array, "batch 1 width"], Cache]:
    """Returns what the causal layer gives at `position`, and the cache with that position added."""
    recent = cache.recent
    if self.sizes.conv_width:
      padded = jnp.concatenate([recent, h], axis=1)
      h, recent = convolve_sequence(padded, self.conv[...]), padded[:, 1:]
    query, key, value = self.project(h, angles)
    keys = jax.lax.dynamic_update_slice_in_dim(cache.keys, key, position, axis=1)
    values = jax.lax.dynamic_update_slice_in_dim(cache.values, value, position, axis=1)
    seen = jnp.broadcast_to((jnp.arange(keys.shape[1]) <= position)[None], keys.shape[:2])
    mixed = attend(query, keys, values, valid=seen).reshape(h.shape)
    return self.output(mixed), Cache(keys, values, recent)
