"""Counts for maps: sums of one, exact probabilities of whole maps, known entropies, a reference by loops."""

import itertools

import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.evaluation import neighbor_counts, ngrams
from catgen.interfaces import InputError
from catgen.sources import Split


def split_of(x, valid=None):
  valid = np.ones(x.shape, bool) if valid is None else valid

  def read(numbers):
    return batch_of(x[numbers], valid[numbers], index=numbers)

  return Split(len(x), read, len(x), read)


def field(rng, number, height, width, num_classes=3, peak=0.8):
  """Markov fields: a pixel is, with probability `peak`, a function of those to its left and above; K outside."""
  k = num_classes
  x = np.full((number, height + 1, width + 1), k)
  for i, j in itertools.product(range(1, height + 1), range(1, width + 1)):
    likely = (x[:, i, j - 1] + 2 * x[:, i - 1, j] + 1) % k
    other = (likely + rng.integers(1, k, number)) % k
    x[:, i, j] = np.where(rng.random(number) < peak, likely, other)
  entropy = -peak * np.log2(peak) - (1 - peak) * np.log2((1 - peak) / (k - 1))
  return x[:, 1:, 1:].astype(np.int32), entropy


def bits(model, x, order):
  return neighbor_counts.estimate(neighbor_counts.log_prob(model, batch_of(x), order), batch_of(x))


def fit(x, num_classes=3, max_maps=10**6, valid=None):
  return neighbor_counts.fit(split_of(x, valid), num_classes=num_classes, max_maps=max_maps)


def at_places(model, shape, num_classes=3):
  """Returns the probabilities of all categories at every place, [height, width, classes]."""
  maps = batch_of(np.broadcast_to(np.arange(num_classes)[:, None, None], (num_classes, *shape)).astype(np.int32))
  return np.moveaxis(np.exp(neighbor_counts.place_log_prob(model, maps)), 0, -1)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, None])
def test_the_probabilities_of_all_small_maps_sum_to_one(order):
  model = fit(field(np.random.default_rng(0), 20, 2, 3)[0])  # few: many contexts were never seen
  x = np.array(list(itertools.product(range(3), repeat=6))).reshape(-1, 2, 3)
  if order is None:
    nats = neighbor_counts.place_log_prob(model, batch_of(x))
  else:
    nats = neighbor_counts.log_prob(model, batch_of(x), order)
  assert np.isfinite(nats).all()
  assert np.exp(nats.sum(axis=(1, 2))).sum() == pytest.approx(1.0, abs=1e-9)


def test_a_markov_field_is_scored_at_its_entropy():
  rng = np.random.default_rng(1)
  x, entropy = field(rng, 1500, 12, 10)
  model, held_out = fit(x[:1000]), x[1000:]
  one, two, three, five = (bits(model, held_out, order) for order in (1, 2, 3, 5))
  assert abs(three.bits - entropy) < 4 * three.data_error
  assert three.bits < five.bits < three.bits + 0.02  # more neighbors are no help here and cost little
  assert three.bits < one.bits - 0.4
  assert three.bits < two.bits - 0.3
  assert three.monte_carlo_error == 0.0


def test_places_know_what_neighbors_do_not():
  rng = np.random.default_rng(2)
  favorite = rng.integers(0, 3, (6, 7))
  drawn = rng.random((800, 6, 7))
  x = np.where(drawn < 0.7, favorite, (favorite + 1 + (drawn > 0.85)) % 3).astype(np.int32)
  entropy = -0.7 * np.log2(0.7) - 0.3 * np.log2(0.15)
  model, held_out = fit(x[:500]), batch_of(x[500:])
  found = neighbor_counts.estimate(neighbor_counts.place_log_prob(model, held_out), held_out)
  assert abs(found.bits - entropy) < 4 * found.data_error + 0.005
  assert found.bits < bits(model, x[500:], 5).bits


def test_neighbors_are_left_above_above_left_and_above_right():
  x = np.arange(12).reshape(1, 3, 4)
  valid = np.ones(x.shape, bool)
  valid[0, 1, 0] = False
  packed = neighbor_counts.pack(batch_of(x, valid), 12)[0]
  digits = [[int(packed[i, j]) // 13**n % 13 for n in range(5)] for i, j in ((1, 1), (0, 0), (2, 3), (2, 1))]
  assert digits == [[5, 12, 1, 0, 2], [0, 12, 12, 12, 12], [11, 10, 7, 6, 12], [9, 8, 5, 12, 6]]


def test_orders_are_the_models_of_ngrams_on_a_map_of_one_row():
  rng = np.random.default_rng(3)
  x = np.cumsum(rng.integers(1, 3, (30, 1, 20)), axis=2) % 4
  outside = np.pad(x[:, 0], ((0, 0), (1, 0)), constant_values=4)  # the border of a map as one more category
  packed = [outside.astype(np.uint64)[:, 1:], (outside[:, :-1] * 5 + outside[:, 1:]).astype(np.uint64)]
  types = [np.unique(grams, return_counts=True) for grams in packed]
  reference = ngrams.smoothed(types, num_classes=4, base=5)
  expected = np.log(ngrams.probability(reference, packed[1].reshape(-1), 2)).reshape(x.shape)
  found = neighbor_counts.log_prob(fit(x, 4), batch_of(x), 2)
  np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_blocks_change_nothing_and_only_the_first_maps_are_counted(monkeypatch):
  x = field(np.random.default_rng(4), 50, 5, 6)[0]
  whole, first = fit(x), fit(x[:20])
  monkeypatch.setattr(neighbor_counts, "_BLOCK", 7 * 30)
  for model, other in ((whole, fit(x)), (first, fit(x, max_maps=20))):
    for order in range(1, 6):
      assert bits(model, x, order) == bits(other, x, order)
    np.testing.assert_array_equal(at_places(model, (5, 6)), at_places(other, (5, 6)))


def test_pixels_that_do_not_count_are_neither_counted_nor_scored():
  rng = np.random.default_rng(5)
  x = field(rng, 30, 4, 5)[0]
  valid = rng.random(x.shape) < 0.8
  one, two = (fit(np.where(valid, x, fill), valid=valid) for fill in (0, 2))
  for order in range(1, 6):
    maps = batch_of(np.where(valid, x, 1), valid)
    nats, other = (neighbor_counts.log_prob(model, maps, order) for model in (one, two))
    np.testing.assert_array_equal(nats, other)
    assert (nats[~valid] == 0).all()
  np.testing.assert_array_equal(at_places(one, (4, 5)), at_places(two, (4, 5)))
  assert (neighbor_counts.place_log_prob(one, batch_of(x, valid))[~valid] == 0).all()


def test_mistakes_are_named():
  x = np.zeros((2, 3, 3), np.int32)
  with pytest.raises(InputError, match="no valid position"):
    fit(x, valid=np.zeros(x.shape, bool))


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_other_numbers_for_the_categories_and_another_order_of_maps_change_nothing(order):
  x, names = field(np.random.default_rng(6), 40, 4, 5)[0], np.array([2, 0, 1], np.int32)
  test = x[:9]
  expected = neighbor_counts.log_prob(fit(x), batch_of(test), order)
  found = neighbor_counts.log_prob(fit(names[x]), batch_of(names[test]), order)
  np.testing.assert_allclose(found, expected, rtol=1e-12)
  np.testing.assert_array_equal(neighbor_counts.log_prob(fit(x[::-1].copy()), batch_of(test), order), expected)


def test_a_place_has_the_frequencies_of_its_pixel_with_one_observation_added():
  x = field(np.random.default_rng(7), 30, 3, 4)[0]
  overall = np.bincount(x.ravel(), minlength=3) + 1.0
  found = at_places(fit(x), (3, 4))
  for i, j in np.ndindex(3, 4):
    counts = np.bincount(x[:, i, j], minlength=3) + overall / overall.sum()
    np.testing.assert_allclose(found[i, j], counts / 31, rtol=1e-12)
  np.testing.assert_allclose(at_places(fit(x[:, ::-1].copy()), (3, 4)), found[::-1])


def test_what_lies_below_and_to_the_right_has_no_influence():
  x = field(np.random.default_rng(8), 30, 4, 5)[0]
  model, changed = fit(x), x.copy()
  changed[:, 2, 3:] = (changed[:, 2, 3:] + 1) % 3
  changed[:, 3] = (changed[:, 3] + 1) % 3
  one, other = (neighbor_counts.log_prob(model, batch_of(each), 5) for each in (x, changed))
  np.testing.assert_array_equal(one[:, :2], other[:, :2])
  np.testing.assert_array_equal(one[:, 2, :3], other[:, 2, :3])
  assert (one[:, 2, 3] != other[:, 2, 3]).any()
