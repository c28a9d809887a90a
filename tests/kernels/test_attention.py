"""Attention against loops in float64, and the faster form against the plain one."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.kernels import attention as kernels
from catgen.kernels import platforms

attend, attend_plainly = (jax.jit(form, static_argnames="causal") for form in (kernels.attend, kernels.attend_plainly))
attend_linearly = jax.jit(kernels.attend_linearly)
attend_locally = jax.jit(kernels.attend_locally, static_argnames="window")

BATCH, LENGTH, HEADS, DIM = 2, 12, 3, 4


def draw(dtype=np.float32):
  rng = np.random.default_rng(0)
  return [(3 * rng.normal(size=(BATCH, LENGTH, HEADS, DIM))).astype(dtype) for _ in range(3)]


def some_padding():
  valid = np.ones((BATCH, LENGTH), bool)
  valid[0, 9:], valid[1, [0, 4, 5]] = False, False
  return valid


def reference(query, key, value, seen):
  """Softmax attention of each query over the keys where seen[batch, query, key]."""
  query, key, value = (np.asarray(x, np.float64) for x in (query, key, value))
  out = np.zeros_like(query)
  for b, i, h in np.ndindex(BATCH, LENGTH, HEADS):
    kept = np.flatnonzero(seen[b, i])
    weights = np.exp([query[b, i, h] @ key[b, j, h] / np.sqrt(DIM) for j in kept])
    out[b, i, h] = sum(w * value[b, j, h] for w, j in zip(weights / weights.sum(), kept, strict=True))
  return out


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("form", [attend, attend_plainly])
def test_attend_is_softmax_over_valid_keys(form, causal, padded):
  valid = some_padding() if padded else np.ones((BATCH, LENGTH), bool)
  valid[:, 0] |= causal  # a causal first query sees one key only
  seen = np.broadcast_to(valid[:, None], (BATCH, LENGTH, LENGTH)) & (~causal | np.tri(LENGTH, dtype=bool))
  query, key, value = draw()
  out = form(query, key, value, valid=valid if padded else None, causal=causal)
  np.testing.assert_allclose(out, reference(query, key, value, seen), rtol=1e-5, atol=1e-5)


def test_attend_survives_scores_far_beyond_the_range_of_exp():
  query, key, value = draw()
  sharp = attend(np.float32(1e3) * query, key, value)
  best = np.argmax(np.einsum("bqhd,bkhd->bhqk", query, key), axis=-1)
  chosen = np.stack([[np.asarray(value)[b, best[b, h], h] for h in range(HEADS)] for b in range(BATCH)])
  np.testing.assert_allclose(sharp, chosen.swapaxes(1, 2), rtol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_attend_and_its_gradient_are_those_of_the_plain_form(dtype, causal):
  valid = some_padding()
  valid[:, 0] = True

  def loss(form, query, key, value):
    return jnp.sum(jnp.sin(form(query, key, value, valid=valid, causal=causal).astype(jnp.float32)))

  found, expected = (
    jax.jit(jax.value_and_grad(functools.partial(loss, form), argnums=(0, 1, 2)))(*draw(dtype))
    for form in (attend, attend_plainly)
  )
  tolerance = 1e-5 if dtype == jnp.float32 else 0.05
  np.testing.assert_allclose(found[0], expected[0], rtol=tolerance)
  for a, b in zip(found[1], expected[1], strict=True):
    a, b = (np.asarray(x, np.float32) for x in (a, b))
    np.testing.assert_allclose(a, b, atol=tolerance * np.abs(b).max())


@pytest.mark.parametrize("window", [12, 6, 4, 3, 2])
@pytest.mark.parametrize("padded", [False, True])
def test_local_attention_sees_its_window_and_both_neighbors(window, padded):
  valid = some_padding() if padded else np.ones((BATCH, LENGTH), bool)
  number = np.arange(LENGTH) // window
  seen = (np.abs(number[:, None] - number[None]) <= 1)[None] & valid[:, None]
  query, key, value = draw()
  out = attend_locally(query, key, value, window=window, valid=valid if padded else None)
  kept = seen.any(axis=-1)  # a position whose neighborhood is all padding has no defined value
  expected = reference(query, key, value, np.where(kept[..., None], seen, True))
  np.testing.assert_allclose(np.asarray(out)[kept], expected[kept], rtol=1e-5, atol=1e-5)
  assert np.isfinite(out).all()


@pytest.mark.parametrize("padded", [False, True])
def test_linear_attention_is_two_softmaxes_and_a_context(padded):
  valid = some_padding() if padded else np.ones((BATCH, LENGTH), bool)
  query, key, value = draw()
  out = attend_linearly(query, key, value, valid=valid if padded else None)
  wide_query, wide_key, wide_value = (np.asarray(x, np.float64) for x in (query, key, value))
  for b, h in np.ndindex(BATCH, HEADS):
    weights = np.exp(wide_key[b, valid[b], h])
    weights /= weights.sum(axis=0)
    context = weights.T @ wide_value[b, valid[b], h]
    for i in range(LENGTH):
      features = np.exp(wide_query[b, i, h])
      np.testing.assert_allclose(out[b, i, h], features / features.sum() / np.sqrt(DIM) @ context, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("attention", [attend, attend_linearly])
def test_half_precision_results_keep_their_dtype_and_accumulate_widely(attention):
  half = attention(*draw(jnp.bfloat16))
  assert half.dtype == jnp.bfloat16
  np.testing.assert_allclose(np.asarray(half, np.float32), attention(*draw()), atol=0.1)


@pytest.mark.parametrize("platform", ["cuda", "cpu", "tpu"])
def test_the_fused_form_is_chosen_by_what_a_program_is_compiled_for(monkeypatch, platform):
  """Not by the devices of the machine that compiles it, which may have none of that kind."""
  monkeypatch.setattr(platforms, "has_cuda", lambda: True)
  monkeypatch.setattr(kernels, "_by_cudnn", lambda query, key, value, valid, causal: jnp.tan(query))

  def takes_the_fused_form(dtype, queries=4, keys=4, dim=8, masked=False):
    given = [jax.ShapeDtypeStruct((2, length, 1, dim), dtype) for length in (queries, keys, keys)]
    given += [jax.ShapeDtypeStruct((2, keys), bool)] * masked
    program = jax.jit(lambda *x: kernels.attend(*x[:3], valid=x[3] if masked else None))
    lowered = program.trace(*given).lower(lowering_platforms=(platform,))
    return re.search(r"\b(chlo|stablehlo)\.tan\b", lowered.as_text()) is not None

  fits = [{}, {"masked": True, "keys": 6}, {"queries": 3, "keys": 3}, {"dim": 128}]
  assert [takes_the_fused_form(jnp.bfloat16, **sizes) for sizes in fits] == [platform == "cuda"] * len(fits)
  assert not takes_the_fused_form(jnp.float32)
  for sizes in [{"masked": True, "queries": 3}, {"masked": True, "keys": 3}, {"dim": 12}, {"dim": 136}]:
    assert not takes_the_fused_form(jnp.bfloat16, **sizes)  # cuDNN would end with an error


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padding", ["at the end", "anywhere"])
def test_the_fused_form_reads_lengths_where_padding_is_at_the_end_and_else_a_mask(padding, causal, monkeypatch):
  plain = jax.nn.dot_product_attention
  avoided = "mask" if padding == "at the end" else "key_value_seq_lengths"

  def in_its_place(*arguments, implementation, **options):
    assert implementation == "cudnn"
    found = plain(*arguments, **options, implementation="xla")
    return jnp.full_like(found, jnp.nan) if avoided in options else found

  monkeypatch.setattr(jax.nn, "dot_product_attention", in_its_place)
  valid = some_padding()
  if padding == "at the end":
    valid[1] = np.arange(LENGTH) < 7
  query, key, value = draw()
  found = jax.jit(functools.partial(kernels._by_cudnn, causal=causal))(query, key, value, valid)
  seen = np.broadcast_to(valid[:, None], (BATCH, LENGTH, LENGTH)) & (np.tri(LENGTH, dtype=bool) | (not causal))
  expected = reference(query, key, value, seen | ~seen.any(-1, keepdims=True))
  some = seen.any(-1)
  np.testing.assert_allclose(np.asarray(found)[some], expected[some], rtol=1e-4, atol=1e-5)


def test_a_bias_is_added_to_the_scores_and_weights_are_thinned_after_they_are_normalized():
  random = np.random.default_rng(5)
  query, key, value = (random.normal(size=(2, length, 3, 4)).astype(np.float32) for length in (5, 7, 7))
  bias = random.normal(size=(2, 3, 5, 7)).astype(np.float32)
  bias[:, :, 1, 4:] = kernels.MASKED
  kept = random.integers(0, 2, size=bias.shape).astype(np.float32)
  program = jax.jit(
    lambda *given: kernels.attend(*given[:3], bias=given[3], thin=lambda weights: 2 * weights * given[4])
  )
  scores = np.einsum("bqhd,bkhd->bhqk", query, key).astype(np.float64) / 2 + bias
  weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
  weights = 2 * kept * weights / weights.sum(axis=-1, keepdims=True)
  expected = np.einsum("bhqk,bkhd->bqhd", weights, value)
  np.testing.assert_allclose(program(query, key, value, bias, kept), expected, atol=1e-5)
