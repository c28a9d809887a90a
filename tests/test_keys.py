"""One key per example: what is drawn depends neither on the batch nor on the place in it; strata fill the interval."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from catgen import keys

KEY = jax.random.key(5)
EXAMPLE_KEYS = jax.jit(keys.example_keys)
EXAMPLE_STRATA = jax.jit(keys.example_strata, static_argnums=2)
OF_TWELVE = jax.jit(lambda key, index: (keys.example_keys(key, index), keys.example_strata(key, index, 12)))
FOLD_IN = jax.jit(keys.fold_in)


def data(some) -> np.ndarray:
  return np.asarray(jax.random.key_data(some) if jax.dtypes.issubdtype(some.dtype, jax.dtypes.prng_key) else some)


def up_to(number: int) -> np.ndarray:
  return np.arange(number, dtype=np.int32)


@pytest.mark.parametrize("index", [[0], [3, 1, 2], [7, 7], list(range(16)), [2**31 - 1, 0]])
def test_a_key_is_that_of_the_index_alone(index):
  got = data(EXAMPLE_KEYS(KEY, np.array(index, np.int32)))
  np.testing.assert_array_equal(got, [data(jax.random.fold_in(KEY, i)) for i in index])


def test_no_two_of_many_examples_and_steps_share_a_key():
  steps = [jax.random.fold_in(KEY, step) for step in range(8)]
  found = np.concatenate([data(EXAMPLE_KEYS(step, up_to(512))) for step in steps])
  assert len(np.unique(found, axis=0)) == 8 * 512


@pytest.mark.parametrize("cut", [1, 3, 8, 11])
def test_a_batch_in_parts_has_the_same_keys_and_strata(cut):
  index = up_to(12)
  whole, *parts = (OF_TWELVE(KEY, some) for some in (index, index[:cut], index[cut:]))
  for one, several in zip(whole, zip(*parts, strict=True), strict=True):
    np.testing.assert_array_equal(data(one), np.concatenate([data(part) for part in several]))


@pytest.mark.parametrize("batch_size", [1, 2, 7, 64])
@pytest.mark.parametrize("first", [0, 1000])
def test_strata_of_a_batch_are_evenly_spread(batch_size, first):
  strata = np.sort(EXAMPLE_STRATA(KEY, first + up_to(batch_size), batch_size))
  assert np.all((strata >= 0) & (strata < 1))
  around = np.diff(np.append(strata, strata[0] + 1))
  np.testing.assert_allclose(around, 1 / batch_size, atol=1e-6)
  np.testing.assert_array_equal(np.floor(strata * batch_size + 1e-5), np.arange(batch_size))  # one in every cell


def many_strata(batch_size: int, seed: int) -> np.ndarray:
  """Returns the strata of a batch for each of 2000 keys."""
  draw = jax.vmap(keys.example_strata, in_axes=(0, None, None))
  many = jax.random.split(jax.random.key(seed), 2000)
  return np.asarray(jax.jit(draw, static_argnums=2)(many, up_to(batch_size), batch_size))


def test_each_stratum_alone_is_uniform():
  for one in many_strata(4, seed=0).T:
    assert scipy.stats.kstest(one, "uniform").pvalue > 1e-4


def test_strata_make_a_mean_much_surer_than_independent_numbers():
  """Of u^2 over 16 strata: its midpoints are off by (offset - 1/2) / 16, where 16 free numbers are off by 0.3 / 4."""
  means = np.mean(np.square(many_strata(16, seed=1)), axis=1)
  np.testing.assert_allclose(means.std(), 1 / (16 * np.sqrt(12)), rtol=0.05)
  np.testing.assert_allclose(means.mean(), 1 / 3, atol=4 * means.std() / np.sqrt(2000))
  assert means.std() < np.sqrt(4 / 45 / 16) / 4


def test_folding_gives_each_key_its_number_and_keeps_none():
  some = EXAMPLE_KEYS(KEY, up_to(3))
  folded = FOLD_IN(some, 7)
  np.testing.assert_array_equal(data(folded), [data(jax.random.fold_in(key, 7)) for key in some])
  assert keys.fold_in(None, 7) is None
  assert not np.array_equal(data(folded), data(FOLD_IN(some, 8)))


@pytest.mark.parametrize("number", [7, np.int32(7), jnp.int32(7)], ids=["int", "numpy", "jax"])
def test_a_number_counts_and_not_its_type(number):
  some = EXAMPLE_KEYS(KEY, up_to(3))
  np.testing.assert_array_equal(data(keys.fold_in(some, number)), data(keys.fold_in(some, 7)))


def test_all_are_the_same_when_compiled():
  index = jnp.arange(5)
  compiled = jax.jit(lambda key, i: (keys.example_keys(key, i), keys.example_strata(key, i, 5)))(KEY, index)
  np.testing.assert_array_equal(data(compiled[0]), data(keys.example_keys(KEY, index)))
  np.testing.assert_allclose(compiled[1], keys.example_strata(KEY, index, 5), rtol=1e-6)
