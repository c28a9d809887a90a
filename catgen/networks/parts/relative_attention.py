"""Attention that knows distances instead of positions, so that it can read on from what was computed before."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from catgen.kernels.attention import MASKED, attend
from catgen.meshes import spread_heads
from catgen.networks.conditions import Conditions
from catgen.networks.parts.dropout import dropout
from catgen.networks.parts.linear import Linear
from catgen.networks.parts.rotary import BASE
from catgen.networks.parts.self_attention import thinning
from catgen.networks.parts.sizes import BlockSizes


class Distances(NamedTuple):
  """What all layers are told of how far positions are from each other."""

  codes: Float[Array, "*examples distances width"]  # of distance 0, 1, ...; a larger one has the last one's
  content_bias: Float[Array, "heads dim"]  # u, added to queries that meet keys
  distance_bias: Float[Array, "heads dim"]  # v, added to queries that meet codes
  reach: int | None  # the largest distance that is seen; None = all are


class DistanceCache(NamedTuple):
  """What one attention layer keeps while decoding."""

  keys: Float[Array, "batch length heads dim"]
  values: Float[Array, "batch length heads dim"]
  codes: Float[Array, "1 length heads dim"]  # of every distance, as the layer reads them; all examples share them


def distance_codes(number: int, width: int) -> Float[np.ndarray, "number width"]:
  """Returns codes of the distances 0 .. number - 1: the sines of width / 2 waves, then their cosines.

  Wave k has the frequency 10000^(-2 k / width), in radians a position.
  """
  angles = np.arange(number)[:, None] * BASE ** (-np.arange(0, width, 2) / width)[None]
  return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)


class RelativeAttention(nnx.Module):
  """Causal attention with the score ((q + u) k + (q + v) W r) / sqrt(dim), r the code of the distance to the key.

  Keys and values are of what memory there is, and of the sequence after it. u and v are the same in all layers.

  Reference: Dai et al. (2019), arXiv:1901.02860.
  """

  def __init__(self, sizes: BlockSizes, *, rngs: nnx.Rngs) -> None:
    width, self.sizes = sizes.width, sizes
    linear = functools.partial(Linear, width, width, use_bias=False, init=sizes.init, dtype=sizes.dtype, rngs=rngs)
    self.query, self.key, self.value, self.distance, self.output = (linear() for _ in range(5))

  def __call__(
    self, h: Float[Array, "batch length width"], distances: Distances, conditions: Conditions
  ) -> Float[Array, "batch length width"]:
    """Returns the attention of every position to the valid ones up to itself, those of the memory first."""
    memory, keys = conditions.memory, conditions.keys
    split = (None, None) if keys is None else jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    read = h if memory is None else jnp.concatenate([memory.astype(h.dtype), h], axis=1)
    query, key, value = self._heads(self.query(h)), self._heads(self.key(read)), self._heads(self.value(read))
    scores = self._scores(query, self._codes(distances.codes, split[0], self.sizes.dropout), distances, key.shape[1])
    thin = thinning(split[1], self.sizes.attention_dropout)
    content = _biased(query, distances.content_bias)
    return self.output(attend(content, key, value, valid=conditions.valid, bias=scores, thin=thin).reshape(h.shape))

  def init_cache(self, batch_size: int, length: int, distances: Distances) -> DistanceCache:
    """Returns an empty cache for sequences of this length."""
    sizes = self.sizes
    heads = jnp.zeros((batch_size, length, sizes.num_heads, sizes.width // sizes.num_heads), sizes.dtype)
    codes = self._codes(distances.codes, None, 0.0)
    return DistanceCache(heads, heads, codes[None, jnp.minimum(jnp.arange(length), len(codes) - 1)])

  def decode(
    self,
    h: Float[Array, "batch 1 width"],
    distances: Distances,
    *,
    cache: DistanceCache,
    position: Int[Array, ""],
  ) -> tuple[Float[Array, "batch 1 width"], DistanceCache]:
    """Returns what the layer gives at `position`, and the cache with that position added."""
    query = self._heads(self.query(h))
    keys, values = (
      jax.lax.dynamic_update_slice_in_dim(kept, self._heads(part(h)), position, axis=1)
      for part, kept in ((self.key, cache.keys), (self.value, cache.values))
    )
    away = position - jnp.arange(keys.shape[1])
    by_distance = self._products(query, cache.codes[0], distances)
    scores = jnp.where((away >= 0)[None, None, None], by_distance[..., jnp.maximum(away, 0)], MASKED)
    content = _biased(query, distances.content_bias)
    mixed = attend(content, keys, values, bias=scores).reshape(h.shape)
    return self.output(mixed), cache._replace(keys=keys, values=values)

  def _heads(self, x: Float[Array, "batch length width"]) -> Float[Array, "batch length heads dim"]:
    return spread_heads(x.reshape(*x.shape[:2], self.sizes.num_heads, -1))

  def _codes(
    self, codes: Float[Array, "distances width"], keys: Array | None, rate: float
  ) -> Float[Array, "*examples distances heads dim"]:
    """Returns the codes as this layer reads them; of each example its own where some of their features are dropped."""
    if keys is not None and rate > 0.0:
      codes = dropout(keys, jnp.broadcast_to(codes[None], (len(keys), *codes.shape)), rate)
    return self.distance(codes).reshape(*codes.shape[:-1], self.sizes.num_heads, -1)

  def _products(
    self, query: Float[Array, "batch queries heads dim"], codes: Array, distances: Distances
  ) -> Float[Array, "batch heads queries distances"]:
    """Returns (query + v) code / sqrt(dim) of every query and code."""
    query = _biased(query, distances.distance_bias) * query.shape[-1] ** -0.5
    how = "bqhd,rhd->bhqr" if codes.ndim == 3 else "bqhd,brhd->bhqr"
    return jnp.einsum(how, query, codes.astype(query.dtype), preferred_element_type=jnp.float32)

  def _scores(
    self, query: Float[Array, "batch queries heads dim"], codes: Array, distances: Distances, num_keys: int
  ) -> Float[Array, "batch heads queries keys"]:
    """Returns what distances add to the scores of keys, `MASKED` where a key must not be seen."""
    number = query.shape[1]
    far_to_near = np.minimum(np.arange(num_keys)[::-1], codes.shape[-3] - 1)
    scores = aligned(self._products(query, jnp.take(codes, far_to_near, axis=-3), distances))
    away = np.arange(number)[:, None] + (num_keys - number) - np.arange(num_keys)[None]
    seen = (away >= 0) & (away <= (num_keys if distances.reach is None else distances.reach))
    return jnp.where(seen[None, None], scores, MASKED)


def _biased(query: Array, bias: Float[Array, "heads dim"]) -> Float[Array, "batch queries heads dim"]:
  """Returns query + bias in the dtype of the query, added in float32, so that the bias's gradient is."""
  return (query.astype(jnp.float32) + bias[None, None]).astype(query.dtype)


def aligned(scores: Float[Array, "batch heads queries keys"]) -> Float[Array, "batch heads queries keys"]:
  """Returns scores by key of scores by distance, of queries that are the last of as many positions as there are keys.

  What comes in has for each query the distances from `keys` - 1 to 0. What comes out has at (i, j) the score of
  distance i + keys - queries - j; where that is negative it means nothing.
  """
  batch, heads, queries, keys = scores.shape
  padded = jnp.pad(scores, [(0, 0), (0, 0), (0, 0), (1, 0)]).reshape(batch, heads, keys + 1, queries)
  return padded[:, :, 1:].reshape(scores.shape)
