"""Sums over valid positions, of events of any shape."""

import jax
import numpy as np
import pytest

from catgen.events import sum_valid

SUM = jax.jit(sum_valid)


@jax.jit
def slope(values, valid):
  return jax.grad(lambda v: sum_valid(v, valid).sum())(values)


@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_invalid_positions_add_nothing_to_value_or_gradient(shape):
  rng = np.random.default_rng(0)
  values = rng.integers(-99, 99, (4, *shape)).astype(np.float32) / 64  # whose sums are exact in any order
  valid = rng.random((4, *shape)) < 0.5
  valid[0], valid[1] = False, True
  expected = [each.astype(np.float64)[seen].sum() for each, seen in zip(values, valid, strict=True)]
  np.testing.assert_allclose(SUM(np.where(valid, values, np.float32(np.nan)), valid), expected, rtol=1e-6)
  np.testing.assert_array_equal(slope(values, valid), valid.astype(np.float32))
  np.testing.assert_array_equal(SUM(values), SUM(values, np.ones(values.shape, bool)))
