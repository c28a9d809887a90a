"""Count baselines: distributions that sum to one, short contexts, known entropies, a reference by dictionaries."""

import itertools
import time
from collections import Counter

import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.evaluation import ngrams
from catgen.interfaces import InputError
from catgen.sources import Split


def chain(rng, length, num_classes, peak=0.85):
  """A Markov chain of order 1 and its conditional entropy in bits."""
  rest = (1 - peak) / (num_classes - 1)
  jumps = np.where(rng.random(length) < peak, 1, rng.integers(2, num_classes + 1, length))
  entropy = -peak * np.log2(peak) - (num_classes - 1) * rest * np.log2(rest)
  return np.cumsum(jumps) % num_classes, entropy


@pytest.mark.parametrize(
  ("num_classes", "order"), [(3, 4), *(pytest.param(number, 5, marks=pytest.mark.slow) for number in (2, 27, 256))]
)
def test_every_distribution_sums_to_one(num_classes, order):
  rng = np.random.default_rng(1)
  x = rng.integers(0, num_classes, 3000) * (rng.random(3000) < 0.5)
  model = ngrams.fit(batch_of(x[None]), order=order, num_classes=num_classes)
  seen = np.stack([x[i : i + order - 1] for i in range(20)])  # contexts that were seen, and some that never were
  contexts = np.concatenate([seen, rng.integers(0, num_classes, (20, order - 1))])
  for context_length in range(order):
    for context in contexts[:, :context_length]:
      rows = np.concatenate([np.tile(context, (num_classes, 1)), np.arange(num_classes)[:, None]], axis=1)
      nats = ngrams.log_prob(model, batch_of(rows), order=order)[:, -1]
      assert abs(np.exp(nats).sum() - 1) < 1e-12
      assert np.isfinite(nats).all()


def test_kneser_ney_by_dictionaries():
  rng = np.random.default_rng(2)
  x, num_classes = chain(rng, 400, 4)[0], 4
  model = ngrams.fit(batch_of(x[None]), order=3, num_classes=num_classes)
  grams = {m: Counter(tuple(x[i : i + m]) for i in range(len(x) - m + 1)) for m in (1, 2, 3)}
  before = {m: Counter(gram[1:] for gram in grams[m + 1]) for m in (1, 2)}

  def discount(counts):
    n = Counter(counts.values())
    if not (n[1] and n[2]):
      return lambda c: 0.5 * (c > 0)
    y = n[1] / (n[1] + 2 * n[2])
    three = 3 - 4 * y * n[4] / max(n[3], 1)
    d = [0, 1 - 2 * y * n[2] / n[1], 2 - 3 * y * n[3] / n[2], three]
    limits = [(0, 0), (0.01, 0.99), (0.01, 1.99), (0.01, 2.99)]
    return lambda c: float(np.clip(d[min(c, 3)], *limits[min(c, 3)]))

  def probability(gram, tables):  # tables: the counts for order 1, 2, ... len(gram)
    if not gram:
      return 1 / num_classes
    counts, lower = tables[len(gram) - 1], probability(gram[1:], tables)
    followers = [counts[(*gram[:-1], w)] for w in range(num_classes)]
    if not sum(followers):
      return lower
    d = discount(counts)
    return (counts[gram] - d(counts[gram]) + sum(d(c) for c in followers) * lower) / sum(followers)

  for gram in itertools.product(range(num_classes), repeat=3):
    expected = [
      probability(gram[:1], [grams[1]]),
      probability(gram[:2], [before[1], grams[2]]),
      probability(gram, [before[1], before[2], grams[3]]),
    ]
    row = np.array([gram])
    np.testing.assert_allclose(np.exp(ngrams.log_prob(model, batch_of(row), order=3))[0], expected, rtol=1e-9)


def test_a_markov_chain_is_scored_at_its_entropy():
  rng = np.random.default_rng(3)
  x, entropy = chain(rng, 60_000, 5)
  train, held_out = x[None, :40_000], x[40_000:].reshape(-1, 50)
  model = ngrams.fit(batch_of(train), order=5, num_classes=5)
  one, two, five = (ngrams.score(model, batch_of(held_out), order=m) for m in (1, 2, 5))
  first = (np.log2(5) - entropy) / 50  # the first category of an example has no context
  assert abs(two.bits - entropy - first) < 4 * two.data_error
  assert abs(one.bits - np.log2(5)) < 0.01
  assert two.bits < five.bits < two.bits + 0.1  # more context is no help here and costs little
  assert two.monte_carlo_error == 0.0


def test_contexts_stop_at_invalid_positions_and_at_the_start():
  rng = np.random.default_rng(4)
  x = chain(rng, 500, 3)[0]
  model = ngrams.fit(batch_of(x[None]), order=4, num_classes=3)
  row, gap = np.array([[0, 1, 2, 0, 1, 2]]), np.array([[True, True, False, True, True, True]])
  nats = ngrams.log_prob(model, batch_of(row, gap), order=4)[0]
  parts = [ngrams.log_prob(model, batch_of(part), order=4)[0] for part in (row[:, :2], row[:, 3:])]
  np.testing.assert_array_equal(nats, [*parts[0], 0.0, *parts[1]])


def test_invalid_training_positions_are_not_counted():
  rng = np.random.default_rng(5)
  rows = rng.integers(0, 3, (40, 12))
  valid = np.arange(12)[None] < rng.integers(3, 12, 40)[:, None]
  short, noisy = (ngrams.fit(batch_of(np.where(valid, rows, fill), valid), order=3, num_classes=3) for fill in (0, 2))
  test = rng.integers(0, 3, (5, 9))
  np.testing.assert_array_equal(*(ngrams.log_prob(m, batch_of(test), order=3) for m in (short, noisy)))


def test_order_longer_than_the_text_still_scores():
  x = np.array([[0, 1]])
  model = ngrams.fit(batch_of(x), order=5, num_classes=2)
  assert np.isfinite(ngrams.log_prob(model, batch_of(np.array([[0, 1, 1, 0]])), order=5)).all()


def stream_split(stream, length):
  def crops(starts):
    return batch_of(np.stack([stream[s : s + length] for s in starts]))

  def examples(numbers):
    return crops(numbers * length)

  return Split(len(stream) // length, examples, len(stream) - length + 1, crops, stride=length)


@pytest.mark.parametrize("extra", [0, 1, 7])
def test_a_stream_is_read_whole_and_in_order(extra):
  stream = np.arange(80 + extra)
  x, valid, *_ = ngrams.training_rows(stream_split(stream, 8))
  np.testing.assert_array_equal(x[0], stream)
  assert valid.all()
  assert ngrams.training_rows(stream_split(stream, 8), max_positions=32).x.shape == (1, 32)


def test_records_stay_rows():
  rows = np.arange(12).reshape(3, 4)
  split = Split(3, lambda n: batch_of(rows[n]), 3, lambda n: batch_of(rows[n]))
  np.testing.assert_array_equal(ngrams.training_rows(split).x, rows)


def test_context_is_read_and_not_scored():
  x = np.array([[0, 1, 0, 1, 1, 0]])
  model, scored = ngrams.fit(batch_of(x), order=2, num_classes=2), np.arange(6)[None] >= 4
  found = ngrams.score(model, batch_of(x)._replace(scored=scored), order=2)
  expected = -ngrams.log_prob(model, batch_of(x), order=2)[scored].sum() / (2 * np.log(2))
  np.testing.assert_allclose(found.bits, expected, rtol=1e-12)


def test_too_large_an_order_is_named():
  x = np.zeros((1, 10), np.int64)
  with pytest.raises(InputError, match="lower the order"):
    ngrams.fit(batch_of(x), order=8, num_classes=256)
  with pytest.raises(InputError, match="no valid position"):
    ngrams.fit(batch_of(x, np.zeros(x.shape, bool)), order=2, num_classes=4)


def test_a_million_characters_take_seconds():
  x = chain(np.random.default_rng(6), 1_000_000, 27, peak=0.3)[0][None]
  start = time.perf_counter()
  ngrams.fit(batch_of(x), order=5, num_classes=27)
  assert time.perf_counter() - start < 10


def drawn(seed, shape, num_classes=4):
  rng = np.random.default_rng(seed)
  return np.where(rng.random(shape) < 0.5, 0, rng.integers(0, num_classes, shape))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_other_numbers_for_the_categories_change_no_probability(order):
  x, test, names = drawn(0, (6, 50)), drawn(1, (5, 9)), np.array([2, 0, 3, 1])
  model, renamed = (ngrams.fit(batch_of(each), order=3, num_classes=4) for each in (x, names[x]))
  expected = ngrams.log_prob(model, batch_of(test), order=order)
  np.testing.assert_allclose(ngrams.log_prob(renamed, batch_of(names[test]), order=order), expected, rtol=1e-12)


def test_rows_count_in_any_order_and_a_gap_is_the_end_of_a_row():
  x, test = drawn(2, (8, 21)), batch_of(drawn(3, (5, 9)))
  expected = ngrams.log_prob(ngrams.fit(batch_of(x), order=4, num_classes=4), test, order=4)
  shuffled = ngrams.fit(batch_of(x[::-1].copy()), order=4, num_classes=4)
  joined = np.pad(x, ((0, 0), (0, 1))).reshape(1, -1)
  valid = np.pad(np.ones(x.shape, bool), ((0, 0), (0, 1))).reshape(1, -1)
  gaps = ngrams.fit(batch_of(joined, valid), order=4, num_classes=4)
  for model in (shuffled, gaps):
    np.testing.assert_array_equal(ngrams.log_prob(model, test, order=4), expected)


def test_a_single_category_costs_nothing():
  """Arrays may say num_classes = 1; the largest order of one category was looked for without end."""
  rows = batch_of(np.zeros((3, 7), np.int32))
  model = ngrams.fit(rows, order=ngrams.longest(1), num_classes=1)
  assert len(model.counts) == ngrams.LONGEST
  np.testing.assert_allclose(ngrams.log_prob(model, rows, order=ngrams.LONGEST), 0.0, atol=1e-12)


def test_a_category_that_is_never_seen_is_possible_and_less_likely_than_any_other():
  x = drawn(4, (1, 400), 3)
  model = ngrams.fit(batch_of(x), order=3, num_classes=5)
  nats = ngrams.log_prob(model, batch_of(np.arange(5)[:, None]), order=3)[:, 0]
  assert np.isfinite(nats).all()
  assert nats[3] == nats[4] < nats[:3].min()


@pytest.mark.parametrize("order", [1, 2, 5])
def test_a_score_is_the_mean_over_positions_of_what_examples_cost(order):
  model = ngrams.fit(batch_of(drawn(5, (1, 300))), order=5, num_classes=4)
  test, valid = drawn(6, (7, 12)), np.arange(12) < np.arange(5, 12)[:, None]
  found = ngrams.score(model, batch_of(test, valid), order=order)
  rows = [row[None, :size] for size, row in enumerate(test, 5)]
  nats = [ngrams.log_prob(model, batch_of(row), order=order).sum() for row in rows]
  assert found.bits == pytest.approx(-sum(nats) / np.log(2) / valid.sum(), rel=1e-12)


@pytest.mark.parametrize(
  ("order", "num_classes", "fits"), [(63, 2, False), (62, 2, True), (7, 256, True), (8, 256, False)]
)
def test_grams_that_do_not_fit_a_word_are_refused(order, num_classes, fits):
  if fits:
    ngrams.check_order(order, num_classes)
  else:
    with pytest.raises(InputError, match=f"order of {order} is not possible with {num_classes} categories: lower"):
      ngrams.check_order(order, num_classes)
