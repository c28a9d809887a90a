"""Sizes of blocks against every other way to share positions out, and curves that never fall."""

import itertools

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.evaluation import blocks
from catgen.interfaces import InputError
from catgen.orders import Orders
from tests.evaluation.mixtures import mixture


def compositions(most, number):
  """All ways to share positions out among so many calls."""
  for cuts in itertools.combinations(range(1, most), number - 1):
    yield tuple(np.diff([0, *cuts, most]).tolist())


def cost(curve, sizes):
  masks = len(curve) - np.cumsum([0, *sizes[:-1]])
  return sum(size * curve[n - 1] for size, n in zip(sizes, masks, strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_the_sizes_cost_least_of_all(seed):
  rng = np.random.default_rng(seed)
  steps = rng.exponential(size=9) * (rng.random(9) < 0.7)  # flat in places
  curve = np.cumsum(steps)
  for number, found in enumerate(blocks.sizes(curve, range(1, 10)), 1):
    best = min(cost(curve, each) for each in compositions(9, number))
    assert sum(found) == 9
    assert 1 <= len(found) <= number
    assert min(found) >= 1
    assert cost(curve, found) == pytest.approx(best, rel=1e-12, abs=1e-12)
  steep = np.cumsum(steps + 0.1)
  assert [len(each) for each in blocks.sizes(steep, range(1, 10))] == list(range(1, 10))


def test_what_does_not_get_dearer_is_drawn_at_once():
  assert blocks.sizes(np.ones(12), [5]) == [(12,)]
  assert blocks.sizes(np.repeat([0.0, 1.0], [9, 3]), [2]) == [(3, 9)]


def test_blocks_are_small_where_the_curve_is_steep():
  """Where it rises most among few masks blocks shrink from call to call, and where it rises among many they grow."""
  (found,) = blocks.sizes(np.sqrt(np.arange(1, 257) / 256), [16])
  assert len(found) == 16
  steep_at_the_end = blocks.sizes((np.arange(1, 257) / 256) ** 8, [16])[0]
  assert list(steep_at_the_end) == sorted(steep_at_the_end)
  assert list(found) == sorted(found, reverse=True)
  assert found[0] > found[-1]
  assert steep_at_the_end[0] < steep_at_the_end[-1]


def test_the_nearest_curve_that_never_falls():
  rng = np.random.default_rng(0)
  values, weights = rng.normal(size=40) + np.arange(40) / 20, rng.integers(1, 9, 40)
  found = blocks.never_falling(values, weights)
  assert np.all(np.diff(found) >= 0)
  # the conditions under which it is the nearest: sums of residuals from the left are never below 0, and 0 at a step
  residuals = np.cumsum(weights * (values - found))
  assert residuals.min() > -1e-9
  np.testing.assert_allclose(residuals[np.append(np.diff(found) > 0, True)], 0.0, atol=1e-9)
  assert len(np.unique(found)) > 3


def test_so_many_calls_cannot_be():
  with pytest.raises(InputError, match="num_calls is 9; give 1 to 8"):
    blocks.sizes(np.ones(8), [2, 9])
  with pytest.raises(InputError, match="num_calls is 0"):
    blocks.sizes(np.ones(8), [0])


@pytest.mark.parametrize("most", [3, 100])
def test_a_curve_is_the_mean_over_examples_with_a_line_between_counts(most):
  def losses(params, batch, keys, *, state, counts):
    return params * counts[None] * batch.x[:, :1]

  model = mixture(2, 4)._replace(orders=Orders(("blocks",), (), most, None, None, losses))
  valid = np.array([[True, True], [True, False], [False, False], [True, True]])
  batches = [batch_of(np.array([[1, 0], [3, 0], [2, 2], [2, 0]]), valid)] * 2
  found = blocks.loss_curve(model, np.float32(0.5), {}, batches, key=jax.random.key(0))
  np.testing.assert_allclose(found, 0.5 * 2 * np.arange(1, most + 1), rtol=1e-6)
  with pytest.raises(InputError, match="no examples to measure a loss curve on"):
    blocks.loss_curve(model, np.float32(0.5), {}, [], key=jax.random.key(0))


def test_sizes_do_not_follow_rounding():
  """Which other numbers of devices change: where positions cost the same whatever is masked, one call is enough."""
  nearly = (3.3 + 1e-6 * np.random.default_rng(0).random(16)).astype(np.float32)

  def losses(params, batch, keys, *, state, counts):
    return params[None, counts - 1] + 0.0 * batch.x[:, :1]

  model = mixture(2, 4)._replace(orders=Orders(("blocks",), (), 16, None, None, losses))
  curve = blocks.loss_curve(model, nearly, {}, [batch_of(np.zeros((8, 2), np.int32))], key=jax.random.key(0))
  np.testing.assert_allclose(curve, nearly, atol=5e-4)
  assert blocks.sizes(curve, [4]) == [(16,)]
