"""Multi-head self-attention over a sequence, whole or one position at a time from a cache."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.kernels.attention import attend
from catgen.kernels.block_attention import attend_blocks
from catgen.kernels.convolution import convolve_sequence
from catgen.kernels.normalization import rotated_norm
from catgen.meshes import spread_heads
from catgen.networks.conditions import Conditions
from catgen.networks.parts.dropout import dropout
from catgen.networks.parts.linear import Linear
from catgen.networks.parts.sizes import BlockSizes

Angles = Float[Array, "length half"] | None  # of rotary positions


class Cache(NamedTuple):
  """What one attention layer keeps while decoding."""

  keys: Float[Array, "batch length heads dim"]
  values: Float[Array, "batch length heads dim"]
  # inputs of the convolution: the last ones, or those of all places where chunks are read, behind zeros
  recent: Float[Array, "batch taps width"]


class Slots(NamedTuple):
  """Where slots stand that are read after, or beside, a sequence of which a `Cache` is kept."""

  angles: Angles
  seen: Bool[Array, "examples blocks keys"] | None = None  # what each block sees of the cache; None: there is no cache
  first: Int[Array, "*blocks"] | int = 0  # where a chunk begins, or each block


class SelfAttention(nnx.Module):
  """Multi-head attention with rotary positions and RMS-normalized queries and keys, maybe after a convolution.

  In plain blocks (`BlockSizes.plain`) nothing is rotated, normalized or convolved, and products have biases.
  """

  def __init__(self, sizes: BlockSizes, *, rngs: nnx.Rngs) -> None:
    width, self.sizes = sizes.width, sizes
    head_dim = width // sizes.num_heads
    linear = functools.partial(
      Linear, width, width, use_bias=sizes.plain, init=sizes.init, dtype=sizes.dtype, rngs=rngs
    )
    self.query, self.key, self.value = linear(), linear(), linear()
    self.query_scale = None if sizes.plain else nnx.Param(jnp.ones((head_dim,)))
    self.key_scale = None if sizes.plain else nnx.Param(jnp.ones((head_dim,)))
    self.output = linear()
    self.before = (
      max(sizes.conv_width - 1, 0) if sizes.causal else sizes.conv_width // 2
    )  # taps before the position itself
    if sizes.conv_width:
      self.conv = nnx.Param(jnp.zeros((sizes.conv_width, width)).at[self.before].set(1.0))

  def __call__(
    self, h: Float[Array, "batch length width"], angles: Angles, conditions: Conditions
  ) -> Float[Array, "batch length width"]:
    """Returns the attention of every position to the valid ones (the preceding ones, itself included, if causal)."""
    valid = conditions.valid
    if self.sizes.conv_width:
      padded = jnp.pad(_counted(h, valid), [(0, 0), (self.before, self.sizes.conv_width - 1 - self.before), (0, 0)])
      h = convolve_sequence(padded, self.conv[...])
    query, key, value = self.project(h, angles)
    thin = thinning(conditions.keys, self.sizes.attention_dropout)
    mixed = attend(query, key, value, valid=valid, causal=self.sizes.causal, thin=thin)
    return self.output(mixed.reshape(h.shape))

  def project(self, h: Float[Array, "batch length width"], angles: Angles) -> tuple[Array, ...]:
    """Returns query, key and value, each [batch, length, heads, dim], the first two normalized and rotated."""
    shape = (*h.shape[:2], self.sizes.num_heads, -1)
    query, key, value = (spread_heads(part(h).reshape(shape)) for part in (self.query, self.key, self.value))
    if self.query_scale is None or self.key_scale is None or angles is None:
      return query, key, value
    query = rotated_norm(query, self.query_scale[...], angles)
    return query, rotated_norm(key, self.key_scale[...], angles), value

  def init_cache(self, batch_size: int, length: int, angles: Angles) -> Cache:
    """Returns an empty cache for sequences of this length."""
    sizes = self.sizes
    heads = jnp.zeros((batch_size, length, sizes.num_heads, sizes.width // sizes.num_heads), sizes.dtype)
    return Cache(heads, heads, jnp.zeros((batch_size, self.before, sizes.width), sizes.dtype))

  def init_chunks(self, batch_size: int, length: int, angles: Angles) -> Cache:
    """Returns a cache of sequences of this length of which `read_chunk` has read nothing."""
    empty = self.init_cache(batch_size, length, angles)
    rest = [(0, 0), (0, length if self.sizes.conv_width else 0), (0, 0)]
    return empty._replace(recent=jnp.pad(empty.recent, rest))

  def decode(
    self,
    h: Float[Array, "batch 1 width"],
    angles: Angles,
    *,
    cache: Cache,
    position: Int[Array, ""],
  ) -> tuple[Float[Array, "batch 1 width"], Cache]:
    """Returns what the causal layer gives at `position`, and the cache with that position added."""
    recent = cache.recent
    if self.sizes.conv_width:
      padded = jnp.concatenate([recent, h], axis=1)
      h, recent = convolve_sequence(padded, self.conv[...]), padded[:, 1:]
    own = None if angles is None else jax.lax.dynamic_slice_in_dim(angles, position, 1)
    query, key, value = self.project(h, own)
    keys = jax.lax.dynamic_update_slice_in_dim(cache.keys, key, position, axis=1)
    values = jax.lax.dynamic_update_slice_in_dim(cache.values, value, position, axis=1)
    seen = jnp.broadcast_to((jnp.arange(keys.shape[1]) <= position)[None], keys.shape[:2])
    mixed = attend(query, keys, values, valid=seen).reshape(h.shape)
    return self.output(mixed), Cache(keys, values, recent)

  def read_chunk(
    self, h: Float[Array, "batch length width"], slots: Slots, conditions: Conditions
  ) -> tuple[Float[Array, "batch length width"], Cache]:
    """Returns what the causal layer gives at slots after those of `conditions.memory`, and the cache with them added.

    Without a memory nothing stands before, and the cache is of these slots alone.
    """
    cache, valid = conditions.memory, conditions.valid
    h, recent = self._after(h, None if cache is None else cache.recent, slots, valid)
    query, key, value = self.project(h, slots.angles)
    if cache is None:
      mixed = attend(query, key, value, valid=valid, causal=True)
      return self.output(mixed.reshape(h.shape)), Cache(key, value, recent)
    assert slots.seen is not None
    one_block, visible = (query[:, None], key[:, None], value[:, None]), None if valid is None else valid[:, None]
    mixed = attend_blocks(one_block, (cache.keys, cache.values), seen=slots.seen, visible=visible, causal=True)
    keys = jax.lax.dynamic_update_slice_in_dim(cache.keys, key, slots.first, axis=1)
    values = jax.lax.dynamic_update_slice_in_dim(cache.values, value, slots.first, axis=1)
    return self.output(mixed.reshape(h.shape)), Cache(keys, values, recent)

  def read_blocks(
    self, h: Float[Array, "batch length width"], slots: Slots, conditions: Conditions
  ) -> Float[Array, "batch length width"]:
    """Returns the attention of blocks, one after the other in h, to the valid slots of their own and to the cache."""
    assert slots.seen is not None
    shape, cache = (h.shape[0], slots.seen.shape[1], -1), conditions.memory
    visible = None if conditions.valid is None else conditions.valid.reshape(shape)
    if self.sizes.conv_width:
      h = self._beside(h.reshape(*shape, h.shape[-1]), cache.recent, slots, visible).reshape(h.shape)
    query, key, value = (part.reshape(*shape, *part.shape[2:]) for part in self.project(h, slots.angles))
    mixed = attend_blocks((query, key, value), (cache.keys, cache.values), seen=slots.seen, visible=visible)
    return self.output(mixed.reshape(h.shape))

  def _after(self, h: Array, recent: Array | None, slots: Slots, valid: Array | None) -> tuple[Array, Array]:
    """Returns slots after the convolution, which reads those before them, and its inputs with theirs."""
    if not self.sizes.conv_width:
      return h, h[:, :0]
    counted = _counted(h, valid)
    if recent is None:
      recent = jnp.pad(counted, [(0, 0), (self.before, 0), (0, 0)])
      return convolve_sequence(recent, self.conv[...]), recent
    recent = jax.lax.dynamic_update_slice_in_dim(recent, counted, slots.first + self.before, axis=1)
    read = jax.lax.dynamic_slice_in_dim(recent, slots.first, self.before + h.shape[1], axis=1)
    return convolve_sequence(read, self.conv[...]), recent

  def _beside(
    self, h: Float[Array, "batch blocks slots width"], recent: Array, slots: Slots, visible: Array | None
  ) -> Float[Array, "batch blocks slots width"]:
    """Returns the slots of blocks after the convolution, which reads the clean ones before each block.

    A slot that is not visible is read by itself alone, and the first one, if it does not count, by nobody.
    """
    shown = _counted(h, visible)
    places = jnp.asarray(slots.first)[:, None] + jnp.arange(self.before)[None]
    padded = jnp.concatenate([recent[:, places], shown], axis=2)
    convolved = jax.vmap(convolve_sequence, (1, None), 1)(padded, self.conv[...])
    hidden = (h - shown).at[:, :, 0].set(0.0)
    return convolved + (hidden * self.conv[self.before][None, None, None]).astype(h.dtype)


def _counted(h: Float[Array, "*slots width"], valid: Bool[Array, "*slots"] | None) -> Float[Array, "*slots width"]:
  """Returns h with zeros in place of what is not valid."""
  return h if valid is None else jnp.where(valid[..., None], h, jnp.zeros_like(h))


def thinning(keys: Key[Array, "batch"] | None, rate: float) -> Callable[[Array], Array] | None:
  """Returns what drops weights of attention at a rate; None where none are dropped."""
  return None if keys is None or rate == 0.0 else lambda weights: dropout(keys, weights, rate)
