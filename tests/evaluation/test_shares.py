"""Errors of shares and of separations of which nothing, or all, was seen; intervals by their formulas."""

import numpy as np
import pytest
import scipy.stats

from catgen.batches import batch_of
from catgen.evaluation import classification, judges, outliers, samples, shares, table_trees


@pytest.mark.parametrize(("number", "least"), [(10, 0.86), (30, 0.9), (100, 0.92), (1000, 0.93)])
def test_two_errors_hold_every_share_about_as_often_as_they_say(number, least):
  """Summed over all counts; by the plain formula they hold 0.001 in 1, 3, 10 and 63 % of draws."""
  seen = np.arange(number + 1)
  errors = np.array([shares.error((seen[1:] <= count) * 1.0, np.ones(number)) for count in seen])
  p = np.linspace(0.001, 0.999, 200)[:, None]
  held = (scipy.stats.binom.pmf(seen, number, p) * (np.abs(seen / number - p) <= 1.96 * errors)).sum(axis=1)
  assert least < held.min() < held.mean() < 0.97
  assert held[[0, -1]].min() > 0.95


@pytest.mark.parametrize("consecutive", [False, True])
def test_clusters_of_both_kinds_keep_the_error_of_the_ratio(consecutive):
  rng = np.random.default_rng(0)
  totals = rng.integers(0, 300, 2000)
  counts = rng.binomial(totals, rng.beta(2, 6, 2000))
  value = counts.sum() / totals.sum()
  plain = shares.ratio_error(counts - value * totals, float(totals.sum()), consecutive=consecutive)
  assert shares.error(counts, totals, consecutive=consecutive) == pytest.approx(plain, rel=0.01)


@pytest.mark.parametrize("consecutive", [False, True])
@pytest.mark.parametrize("each", [1, 100])
def test_few_examples_of_both_kinds_have_no_less_than_the_error_of_the_ratio(each, consecutive):
  """Plus four alone would take a sixth off it: 0.139 for 0.167, where the examples are no pieces."""
  counts, totals = each * np.array([1.0, 0, 0, 1, 1, 0, 1, 0, 0, 1]), np.full(10, float(each))
  plain = shares.ratio_error(counts - 0.5 * totals, 10.0 * each, consecutive=consecutive)
  assert shares.error(counts, totals, consecutive=consecutive) >= plain


@pytest.mark.parametrize("spread", [0.0, 1.0, 4.0])
def test_a_separation_is_within_two_errors_however_far_and_few_the_examples(spread):
  """By the plain formula 92, 88 and 6 % of the separations of five and five examples are."""
  rng, right = np.random.default_rng(2), scipy.stats.norm.cdf(spread / np.sqrt(2))
  found = [outliers.separation(*rng.normal([[spread], [0.0]], 1.0, (2, 5))) for _ in range(400)]
  assert np.mean([abs(each.probability - right) <= 1.96 * each.error for each in found]) > 0.9


def words_of_nobody():
  texts = ["a known known b"] * 20
  judge = judges.Judge(
    "", lambda batch: np.zeros((20, 3)), samples.frequencies(THREES, 2), frozenset(["known"]), lambda _: texts
  )
  return judges.judged(judge, THREES).words.error


THREES = batch_of(np.zeros((20, 3), np.int32))
ALL_RIGHT = (np.log(np.tile([[0.9, 0.1]], (20, 1))), np.zeros(20, np.int64), np.log([0.5, 0.5]))


@pytest.mark.parametrize(
  ("error", "largest"),
  [
    (lambda: outliers.separation(np.ones(20), np.zeros(20)).error, 0.1),
    (lambda: classification.quality(*ALL_RIGHT).accuracy_error, 0.07),
    (lambda: samples.invalid_share(np.ones((20, 3), bool)).error, 0.03),
    (words_of_nobody, 0.04),
    (lambda: table_trees._errors("accuracy", [np.ones(20)] * 2, np.ones(20), np.ones(1), 0), 0.07),
    (lambda: table_trees._errors("AUC", [np.arange(20.0)] * 2, np.arange(20) > 9, np.array([False, True]), 0), 0.2),
  ],
  ids=["separation", "accuracy", "invalid", "words", "accuracy of trees", "AUC of trees"],
)
def test_where_all_are_alike_no_error_is_zero(error, largest):
  assert (np.array(error()) > 0.005).all()
  assert (np.array(error()) < largest).all()


def test_wilson_by_its_formula_and_at_the_edges():
  found = shares.interval(np.ones(10, int) * 3, np.ones(10, int) * 10)  # all alike: no design effect
  z, n, p = 1.959964, 100, 0.3
  roots = np.roots([1 + z**2 / n, -(2 * p + z**2 / n), p**2])  # (p - q)^2 = z^2 q (1 - q) / n
  np.testing.assert_allclose([found.low, found.high], np.sort(roots), rtol=1e-9)
  none = shares.interval(np.zeros(10, int), np.full(10, 10))
  assert none.low == 0.0
  assert 0.03 < none.high < 0.04
  nothing, single = (
    shares.interval(np.zeros(3, int), np.zeros(3, int)),
    shares.interval(np.array([30]), np.array([100])),
  )
  np.testing.assert_equal(tuple(nothing), (0, 0, np.nan, 0.0, 1.0))
  np.testing.assert_allclose(single, found, rtol=1e-12)  # of one example no design effect is known


def test_intervals_cover_although_positions_of_an_example_hang_together():
  rng, covered = np.random.default_rng(8), 0
  for _ in range(400):
    p = rng.beta(2, 6, 60)  # mean 1/4; each example has its own rate
    found = shares.interval(rng.binomial(50, p), np.full(60, 50))
    covered += found.low <= 0.25 <= found.high
  assert 0.90 <= covered / 400 <= 0.99


@pytest.mark.parametrize("hits", [[0, 0, 0], [1, 0, 2], [3, 1, 4], [5, 5, 5]])
def test_a_share_and_what_is_missing_to_one_have_mirrored_intervals(hits):
  counts, totals = np.array(hits), np.array([5, 5, 5])
  one, other = shares.interval(counts, totals), shares.interval(totals - counts, totals)
  assert one.value == pytest.approx(1 - other.value)
  assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low))
  assert 0 <= one.low <= one.value <= one.high <= 1


def test_examples_without_a_position_count_for_nothing():
  counts, totals = [0, 9, 1, 8], [9, 9, 9, 9]  # unlike binomial ones, so that their number matters
  some, more = (shares.interval(np.array(counts + [0] * n), np.array(totals + [0] * n)) for n in (0, 3))
  assert some == more
