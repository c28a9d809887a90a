"""What attention is indifferent to: order of keys, shifts, padding, the batch; and what it is linear in."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.kernels.attention import attend, attend_linearly, attend_locally

RNG = np.random.default_rng(0)
BATCH, LENGTH, HEADS, DIM = 2, 6, 2, 4
QUERY, KEY, VALUE = (RNG.normal(size=(BATCH, LENGTH, HEADS, DIM)).astype(np.float32) for _ in range(3))
VALID = np.arange(LENGTH)[None] < np.array([6, 4])[:, None]
FORMS = {
  "attend": functools.partial(attend, causal=False),
  "causal": functools.partial(attend, causal=True),
  "linear": attend_linearly,
  "local": functools.partial(attend_locally, window=2),
}
WHOLE = ["attend", "linear"]  # which read all keys alike


@functools.cache
def compiled(name):
  return jax.jit(lambda query, key, value, valid: FORMS[name](query, key, value, valid=valid))


def of(name, query=QUERY, key=KEY, value=VALUE, valid=VALID):
  return np.asarray(compiled(name)(*(jnp.asarray(part) for part in (query, key, value, valid))))


@pytest.mark.parametrize("name", WHOLE)
def test_keys_may_come_in_any_order(name):
  order = np.array([3, 0, 5, 1, 4, 2])
  moved = of(name, key=KEY[:, order], value=VALUE[:, order], valid=VALID[:, order])
  np.testing.assert_allclose(moved, of(name), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", WHOLE)
def test_queries_are_answered_one_by_one(name):
  order = np.array([3, 0, 5, 1, 4, 2])
  np.testing.assert_allclose(of(name, query=QUERY[:, order]), of(name)[:, order], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", FORMS)
def test_invalid_keys_and_values_reach_nobody(name):
  hidden = ~VALID[..., None, None]
  other = of(name, key=np.where(hidden, np.float32(50.0), KEY), value=np.where(hidden, np.float32(-9e3), VALUE))
  seen = VALID if name == "local" else np.ones_like(VALID)  # a window of padding alone has no defined value
  np.testing.assert_allclose(other[seen], of(name)[seen], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FORMS)
def test_values_enter_linearly(name):
  other = RNG.normal(size=VALUE.shape).astype(np.float32)
  mixed = of(name, value=2 * VALUE - 3 * other)
  np.testing.assert_allclose(mixed, 2 * of(name) - 3 * of(name, value=other), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FORMS)
def test_examples_and_heads_do_not_mix(name):
  plain = of(name)
  np.testing.assert_allclose(of(name, QUERY[::-1], KEY[::-1], VALUE[::-1], VALID[::-1])[::-1], plain, rtol=1e-5)
  heads = of(name, *(part[:, :, ::-1] for part in (QUERY, KEY, VALUE)))
  np.testing.assert_allclose(heads[:, :, ::-1], plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["attend", "causal", "local"])
def test_one_vector_added_to_every_key_changes_no_weight(name):
  """It adds the same number to all scores of a query."""
  shift = RNG.normal(size=(1, 1, HEADS, DIM)).astype(np.float32)
  np.testing.assert_allclose(of(name, key=KEY + shift), of(name), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["attend", "causal", "local"])
def test_weights_add_up_to_one(name):
  """Values that are the same everywhere come out as they are."""
  same = np.broadcast_to(VALUE[:, :1], VALUE.shape)
  seen = VALID if name == "local" else np.ones_like(VALID)
  np.testing.assert_allclose(of(name, value=same)[seen], same[seen], rtol=1e-5)


def test_linear_attention_takes_shifts_of_every_feature_of_its_softmaxes():
  by_feature = RNG.normal(size=(1, 1, HEADS, DIM)).astype(np.float32)  # of keys: constant along the length
  by_place = RNG.normal(size=(1, LENGTH, HEADS, 1)).astype(np.float32)  # of queries: constant over the features
  shifted = of("linear", query=QUERY + by_place, key=KEY + by_feature)
  np.testing.assert_allclose(shifted, of("linear"), rtol=1e-4, atol=1e-5)


def test_linear_attention_of_equal_keys_is_the_mean_over_the_root_of_the_dimension():
  found = of("linear", key=0 * KEY)
  mean = np.stack([VALUE[b, VALID[b]].mean(axis=0) for b in range(BATCH)])[:, None]
  np.testing.assert_allclose(found, np.broadcast_to(mean / np.sqrt(DIM), found.shape), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("length", [1, 3, 5])
def test_what_comes_later_reaches_no_causal_query(length):
  cut = [part[:, :length] for part in (QUERY, KEY, VALUE, VALID)]
  np.testing.assert_allclose(of("causal", *cut), of("causal")[:, :length], rtol=1e-5, atol=1e-6)


def test_the_first_causal_query_sees_itself_alone():
  np.testing.assert_allclose(of("causal")[:, 0], VALUE[:, 0], rtol=1e-6)


def test_where_every_key_is_hidden_the_values_are_averaged():
  found = of("attend", valid=np.zeros_like(VALID))
  np.testing.assert_allclose(
    found, np.broadcast_to(VALUE.mean(axis=1, keepdims=True), found.shape), rtol=1e-4, atol=1e-6
  )


def test_local_attention_moves_with_the_sequence_by_whole_windows():
  """Away from the ends: an example shifted by a window has its answers shifted by a window."""
  query, key, value = (RNG.normal(size=(1, 12, HEADS, DIM)).astype(np.float32) for _ in range(3))
  valid = np.ones((1, 12), bool)
  plain = of("local", query, key, value, valid)
  moved = of("local", *(np.roll(part, 2, axis=1) for part in (query, key, value)), valid)
  np.testing.assert_allclose(moved[:, 4:10], plain[:, 2:8], rtol=1e-4, atol=1e-6)


def test_gradients_of_values_are_the_weights():
  """d (sum of answers) / d value sums to one per query for softmax attention, whatever is hidden."""
  slope = jax.jit(
    jax.grad(lambda value: attend(*map(jnp.asarray, (QUERY, KEY)), value, valid=jnp.asarray(VALID)).sum())
  )
  found = np.asarray(slope(jnp.asarray(VALUE)))
  np.testing.assert_allclose(found.sum(axis=1), LENGTH, rtol=1e-5)
  np.testing.assert_array_equal(found[~VALID], 0.0)
