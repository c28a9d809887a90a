"""Softmax attention over whole sequences or windows, and linear attention: functions of query, key, value."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from catgen.kernels.platforms import for_nvidia

Queries = Float[Array, "batch queries heads dim"]
Keys = Float[Array, "batch keys heads dim"]
Seen = Bool[Array, "batch keys"]
Bias = Float[Array, "batch heads queries keys"]

MASKED = -1e30  # finite, so that a row with every key masked gives a uniform average and no NaN


def attend(
  query: Queries,
  key: Keys,
  value: Keys,
  *,
  valid: Seen | None = None,
  causal: bool = False,
  bias: Bias | None = None,
  thin: Callable[[Bias], Bias] | None = None,
) -> Queries:
  """Returns softmax(query key^T / sqrt(dim) + bias) value, each query over its valid keys.

  Args:
    valid: False = this key is seen by no query; None = all are.
    causal: query i sees keys 0 .. i; needs as many queries as keys.
    bias: added to the scores; `MASKED` where a query must not see a key.
    thin: what drops some of the weights.

  Numerics: scores, exponentials and sums are float32 whatever the dtype of the arguments, which the result has.
  A query without any valid key gets an average of all values. Compiled for NVIDIA GPUs, half-precision arguments go
  to the fused cuDNN kernel where it serves their shapes; elsewhere the sum is divided out after the second product,
  which on CPUs is up to twice as fast as `jax.nn.dot_product_attention`.
  """
  if bias is not None or thin is not None:
    return _by_products(query, key, value, valid, causal=causal, bias=bias, thin=thin)
  plainly = functools.partial(_by_products, causal=causal)
  if not _cudnn_serves(query, key, masked=valid is not None):
    return plainly(query, key, value, valid)
  fused = functools.partial(_by_cudnn, causal=causal)
  return for_nvidia(fused, plainly)(query, key, value, valid)


def _by_products(
  query: Queries,
  key: Keys,
  value: Keys,
  valid: Seen | None,
  *,
  causal: bool,
  bias: Bias | None = None,
  thin: Callable[[Bias], Bias] | None = None,
) -> Queries:
  query, key, value = (x.swapaxes(1, 2) for x in (query * query.shape[-1] ** -0.5, key, value))
  scores = jnp.einsum("bhqd,bhkd->bhqk", query, key, preferred_element_type=jnp.float32)
  scores = _masked(scores if bias is None else scores + bias, valid, causal)
  weights = jnp.exp(scores - jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True)))
  total = weights.sum(axis=-1)[..., None]
  weights = weights if thin is None else thin(weights)
  mixed = jnp.einsum("bhqk,bhkd->bhqd", weights.astype(value.dtype), value, preferred_element_type=jnp.float32)
  return (mixed / total).astype(value.dtype).swapaxes(1, 2)


def _by_cudnn(query: Queries, key: Keys, value: Keys, valid: Seen | None, *, causal: bool) -> Queries:
  """Returns attention by the fused kernel, which reads lengths where padding is at the end, and otherwise a mask."""
  fused = functools.partial(jax.nn.dot_product_attention, is_causal=causal, implementation="cudnn")
  if valid is None:
    return fused(query, key, value)

  def by_lengths(query: Queries, key: Keys, value: Keys, valid: Seen) -> Queries:
    own = query[:, 0, 0, 0]

    def of_each(lengths: Int[Array, "batch"]) -> Int[Array, "batch"]:
      """Under vmap the kernel wants lengths with all axes of the queries: they seem to depend on these."""
      return jax.lax.select(own == own, lengths, lengths)

    read = of_each(jnp.maximum(valid.sum(axis=1, dtype=jnp.int32), 1))
    asked = of_each(jnp.full(len(query), query.shape[1], jnp.int32))
    return fused(query, key, value, query_seq_lengths=asked, key_value_seq_lengths=read)

  def by_mask(query: Queries, key: Keys, value: Keys, valid: Seen) -> Queries:
    return fused(query, key, value, mask=_for_each_query(valid, query.shape[1]))

  at_end = (valid == (jnp.arange(key.shape[1])[None] < valid.sum(axis=1)[:, None])).all()
  return jax.lax.cond(at_end, by_lengths, by_mask, query, key, value, valid)


def _for_each_query(valid: Seen, number: int) -> Bool[Array, "batch 1 queries keys"]:
  return jnp.broadcast_to(valid[:, None, None], (len(valid), 1, number, valid.shape[1]))


def attend_plainly(
  query: Queries, key: Keys, value: Keys, *, valid: Seen | None = None, causal: bool = False
) -> Queries:
  """Returns what `attend` returns, by its definition: the plain form that the others are tested against."""
  wide = [x.astype(jnp.float32) for x in (query, key, value)]
  scores = jnp.einsum("bqhd,bkhd->bhqk", wide[0], wide[1]) * query.shape[-1] ** -0.5
  weights = jax.nn.softmax(_masked(scores, valid, causal), axis=-1)
  return jnp.einsum("bhqk,bkhd->bqhd", weights, wide[2]).astype(value.dtype)


def _masked(scores: Array, valid: Array | None, causal: bool) -> Array:
  """Returns scores [batch, heads, queries, keys] with `MASKED` in place of those that a query must not see."""
  if causal:
    seen = jnp.tri(scores.shape[2], dtype=bool)
    scores = jnp.where(seen[None, None], scores, MASKED)
  return scores if valid is None else jnp.where(valid[:, None, None], scores, MASKED)


def _cudnn_serves(query: Array, key: Array, *, masked: bool) -> bool:
  """Whether cuDNN's fused attention takes these shapes; a mask needs even lengths."""
  return (
    query.dtype in (jnp.bfloat16, jnp.float16)
    and query.shape[-1] % 8 == 0
    and query.shape[-1] <= 128
    and not (masked and (query.shape[1] % 2 or key.shape[1] % 2))
  )


def attend_locally(
  query: Float[Array, "batch length heads dim"],
  key: Float[Array, "batch length heads dim"],
  value: Float[Array, "batch length heads dim"],
  *,
  window: int,
  valid: Bool[Array, "batch length"] | None = None,
) -> Float[Array, "batch length heads dim"]:
  """Returns attention in which a position sees its own window and the windows just before and after it.

  `window` divides the length. Up to two windows this is attention over the whole sequence, and computed as such.
  """
  batch, length, *_ = query.shape
  if length <= 2 * window:
    return attend(query, key, value, valid=valid)
  count = length // window
  if valid is None:
    valid = jnp.ones((batch, length), bool)
  folded = attend(
    query.reshape(batch * count, window, *query.shape[2:]),
    _neighborhoods(key, window),
    _neighborhoods(value, window),
    valid=_neighborhoods(valid, window),
  )
  return folded.reshape(query.shape)


def _neighborhoods(x: Array, window: int) -> Array:
  """Cuts [batch, length, ...] into [batch * windows, 3 window, ...]: windows between neighbors, zeros at the ends."""
  length, *rest = x.shape[1:]
  padded = jnp.pad(x, [(0, 0), (window, window)] + [(0, 0)] * len(rest))
  parts = [padded[:, i * window : i * window + length].reshape(-1, window, *rest) for i in range(3)]
  return jnp.concatenate(parts, axis=1)


def attend_linearly(
  query: Float[Array, "batch length heads dim"],
  key: Float[Array, "batch length heads dim"],
  value: Float[Array, "batch length heads dim"],
  *,
  valid: Bool[Array, "batch length"] | None = None,
) -> Float[Array, "batch length heads dim"]:
  """Returns softmax_dim(query) / sqrt(dim) times softmax_length(key)^T value: linear in the length.

  Invalid positions get no weight in the softmax of the keys. Softmaxes and sums are float32, normalized last.
  Reference: Shen et al. (2021), "Efficient Attention", as in the paper's text network.
  """
  query, key, value = (x.swapaxes(1, 2) for x in (query, key, value))
  key = key.astype(jnp.float32)
  if valid is not None:
    key = jnp.where(valid[:, None, :, None], key, MASKED)
  weights = jnp.exp(key - jax.lax.stop_gradient(key.max(axis=2, keepdims=True)))
  context = jnp.einsum("bhld,bhle->bhde", weights.astype(value.dtype), value, preferred_element_type=jnp.float32)
  context = context / weights.sum(axis=2)[..., None]
  query = jax.nn.softmax(query.astype(jnp.float32), axis=-1) / math.sqrt(query.shape[-1])
  mixed = jnp.einsum("bhld,bhde->bhle", query.astype(value.dtype), context.astype(value.dtype))
  return mixed.swapaxes(1, 2)
