"""Batches, keys, labels and sums in numbers that other rooms rely on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen import keys
from catgen.batches import batch_of, concatenate, scored_positions, take
from catgen.events import sum_valid
from catgen.given import check_given, fix_given, hide, labels_of_each
from catgen.interfaces import Bound, EventSpec, InputError, Model

X = np.arange(24, dtype=np.int32).reshape(4, 3, 2)


@pytest.mark.parametrize("numbers", [slice(None), slice(1, 3), np.array([3, 1]), np.array([2, 2])])
def test_taking_takes_the_same_examples_of_everything(numbers):
  batch = batch_of(X, X % 2 == 0, index=np.array([9, 7, 5, 3]), given=X[:, 0])._replace(scored=X > 4)
  batch = batch._replace(continues=np.array([True, False, True, True]))
  found = take(batch, numbers)
  for whole, part in zip(batch, found, strict=True):
    np.testing.assert_array_equal(part, whole[numbers])


def test_batches_that_were_cut_come_together_in_their_order():
  batch = batch_of(X, given=X[:, 0])
  joined = concatenate(take(batch, np.array([number])) for number in (2, 0, 3))
  np.testing.assert_array_equal(joined.index, [2, 0, 3])
  np.testing.assert_array_equal(joined.x, X[[2, 0, 3]])
  assert joined.scored is None


def test_what_is_scored_is_valid_and_nothing_else_is():
  every = np.array([[False, False, True, True]])
  scored = np.array([[False, True, False, True]])
  batch = batch_of(np.zeros((1, 4), np.int32), every)._replace(scored=scored)
  assert scored_positions(batch).tolist() == [[False, False, False, True]]


def test_strata_of_numbers_beyond_the_batch_go_around():
  key = jax.random.key(0)
  strata = jax.jit(keys.example_strata, static_argnums=2)
  plain = np.asarray(strata(key, np.arange(8), 8))
  np.testing.assert_allclose(strata(key, np.arange(8) + 16, 8), plain, atol=1e-6)
  turned = np.asarray(strata(key, np.arange(8)[::-1], 8))
  np.testing.assert_array_equal(turned[::-1], plain)


def test_strata_are_one_offset_apart_from_their_number_over_the_batch():
  key = jax.random.key(3)
  found = np.asarray(keys.example_strata(key, jnp.arange(5), 5), np.float64)
  offset = float(jax.random.uniform(key, ()))
  np.testing.assert_allclose(found, (offset + np.arange(5) / 5) % 1.0, atol=1e-6)


def test_a_hidden_label_is_the_size_of_its_attribute():
  sizes = (2, 3)
  given = jnp.asarray(np.zeros((6, len(sizes)), np.int32))
  each = keys.example_keys(jax.random.key(2), jnp.arange(6))
  np.testing.assert_array_equal(hide(given, sizes, each, 1.0), np.broadcast_to(sizes, (6, len(sizes))))
  np.testing.assert_array_equal(hide(given, sizes, each, 0.0), 0)
  some = np.asarray(hide(given, sizes, each, 0.5))
  more = np.asarray(hide(given, sizes, each, 0.9))
  assert np.all((some == 0) | (some == np.array(sizes)))
  assert np.all(more[some > 0] > 0)  # what is hidden with a small share is hidden with a large one


def test_labels_of_one_are_the_labels_of_all_and_too_many_rows_do_not_fit():
  event = EventSpec((2,), 3, (4, 2))
  found = labels_of_each(event, np.array([4, 0]), 3)
  assert found.tolist() == [[4, 0]] * 3
  assert found.dtype == np.int32
  check_given(event, np.array([[0, 0], [4, 2]]))  # the largest are "not given"
  with pytest.raises(InputError, match="outside"):
    check_given(event, np.array([[0, 0], [0, 3]]))
  with pytest.raises(ValueError, match="broadcast"):
    labels_of_each(event, np.array([[0, 0], [1, 1]]), 3)


def test_a_fixed_label_overrides_what_a_batch_says():
  def bound(params, batch, some_keys, *, state, train, strata=None):
    return Bound(batch.given[:, 0].astype(jnp.float32), {})

  model = Model(EventSpec((2,), 3, (4,)), init=None, bound=bound, sample=None)
  batch = batch_of(np.zeros((2, 2), np.int32), given=np.array([[0], [3]]))
  found = fix_given(model, [2]).bound({}, batch, None, state={}, train=False).nats
  np.testing.assert_array_equal(found, 2.0)


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 2, 5)])
def test_sums_over_events_keep_dtype_and_examples(shape):
  values = np.random.default_rng(0).integers(0, 9, shape)
  valid = values > 3
  found = sum_valid(jnp.asarray(values), jnp.asarray(valid))
  assert (found.shape, found.dtype) == ((3,), jnp.asarray(values).dtype)
  np.testing.assert_array_equal(found, (values * valid).reshape(3, -1).sum(axis=1))
