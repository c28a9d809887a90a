"""Sums over valid positions, of events of any shape."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.events import sum_valid


@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_invalid_positions_add_nothing_to_value_or_gradient(shape):
  values = jax.random.normal(jax.random.key(0), (4, *shape))
  valid = jax.random.bernoulli(jax.random.key(1), 0.5, values.shape).at[0].set(False)
  where = np.asarray(valid)
  expected = [np.asarray(each, np.float64)[seen].sum() for each, seen in zip(values, where, strict=True)]
  np.testing.assert_allclose(sum_valid(jnp.where(valid, values, jnp.nan), valid), expected, rtol=1e-6)
  np.testing.assert_array_equal(jax.grad(lambda v: sum_valid(v, valid).sum())(values), where.astype(np.float32))
  np.testing.assert_array_equal(sum_valid(values), sum_valid(values, jnp.ones(values.shape, bool)))
