"""Similarities of tables against SciPy, counts by hand and laws that are known."""

import numpy as np
import pytest
import scipy.stats

from catgen.evaluation.table_fidelity import Rows, alike, errors_of_difference, pairs_of, shares


def rows(values, sizes=(0, 3, 0, 2)):
  names = tuple("abcdefgh"[: len(sizes)])
  return Rows(names, sizes, tuple(not size for size in sizes), np.asarray(values, np.float64))


def drawn(seed, number, gaps=0.1):
  rng = np.random.default_rng(seed)
  a, kind = rng.normal(size=number), rng.choice(3, number, p=(0.5, 0.3, 0.2))
  b = np.where(rng.random(number) < gaps, np.nan, a * 0.8 + kind)
  return rows(np.stack([a, kind, b, (a > 0) ^ (rng.random(number) < 0.1)], axis=1))


ALL = pairs_of(4, 100, 0)


def compared(first, second, pairs=ALL, bootstraps=0):
  return alike(first, second, pairs, bootstraps=bootstraps, seed=0)


def test_a_table_is_like_itself_in_any_order_and_unlike_one_without_a_value_in_common():
  table = drawn(0, 200)
  other = table.take(np.random.default_rng(1).permutation(200))
  found = compared(table, other)
  np.testing.assert_allclose([*found.columns, *found.pairs], 1.0, atol=1e-12)
  apart = compared(rows([[0.0, 0, 1, 0]] * 5), rows([[9.0, 2, np.nan, 1]] * 7))
  np.testing.assert_allclose(apart.columns, 0.0, atol=1e-12)


def test_shape_is_the_largest_difference_of_distribution_functions_or_total_variation():
  first, second = drawn(0, 150), drawn(1, 230)
  found = compared(first, second).columns
  gaps = [np.nan_to_num(each.values[:, 2], nan=-100.0) for each in (first, second)]
  expected = scipy.stats.ks_2samp(first.values[:, 0], second.values[:, 0]).statistic
  np.testing.assert_allclose(found[0], 1 - expected, atol=1e-12)
  np.testing.assert_allclose(found[2], 1 - scipy.stats.ks_2samp(*gaps).statistic, atol=1e-12)
  counted = [[np.mean(each.values[:, 1] == k) for k in range(3)] for each in (first, second)]
  np.testing.assert_allclose(found[1], 1 - np.abs(np.subtract(*counted)).sum() / 2, atol=1e-12)


def test_trend_is_that_of_correlations_and_of_tables_of_pairs():
  first, second = drawn(0, 150), drawn(1, 230)
  found = dict(zip(ALL, compared(first, second).pairs, strict=True))
  known = [each.values[~np.isnan(each.values[:, 2])] for each in (first, second)]
  rho = [np.corrcoef(each[:, 0], each[:, 2])[0, 1] for each in known]
  np.testing.assert_allclose(found[0, 2], 1 - abs(rho[0] - rho[1]) / 2, atol=1e-12)
  tables = [np.histogram2d(each.values[:, 1], each.values[:, 3], (3, 2))[0] for each in (first, second)]
  of_tables = 1 - np.abs(tables[0] / 150 - tables[1] / 230).sum() / 2
  np.testing.assert_allclose(found[1, 3], of_tables, atol=1e-12)
  cuts = np.quantile(first.values[:, 0], np.arange(1, 10) / 10)
  tables = [
    np.histogram2d(np.searchsorted(cuts, each.values[:, 0], side="right"), each.values[:, 1], (range(11), range(4)))[0]
    for each in (first, second)
  ]
  np.testing.assert_allclose(found[0, 1], 1 - np.abs(tables[0] / 150 - tables[1] / 230).sum() / 2, atol=1e-12)


def test_dependence_that_is_lost_shows_in_trend_and_not_in_shape():
  table = drawn(0, 1000, gaps=0.0)
  rng = np.random.default_rng(2)
  shuffled = table._replace(values=np.stack([rng.permutation(column) for column in table.values.T], axis=1))
  found = compared(table, shuffled)
  np.testing.assert_allclose(found.columns, 1.0, atol=1e-12)
  assert found.trend < 0.85


def test_constant_columns_have_no_correlation_and_large_numbers_do_not_overflow():
  table = rows([[1.0, 0, 1e200 * i, 0] for i in range(9)])
  found = dict(zip(ALL, compared(table, table._replace(values=table.values * [1, 1, 1, 1])).pairs, strict=True))
  assert found[0, 2] == 1.0
  varied = table._replace(values=table.values + np.arange(9)[:, None] * [1.0, 0, 0, 0])
  assert compared(table, varied, [(0, 2)]).pairs[0] == pytest.approx(0.5)


def test_numbers_far_from_zero_are_correlated_as_they_are_near_it():
  """Seconds of one hour, counted from 1970: one of two columns follows the other, or does not."""
  rng = np.random.default_rng(4)
  near = rows(np.cumsum(rng.uniform(0, 1500, (200, 2)) * [1.0, 1e-3], axis=1), (0, 0))
  apart = near._replace(values=np.stack([near.values[:, 0], rng.permutation(near.values[:, 1])], axis=1))
  far, far_apart = (each._replace(values=each.values + 1.7e9) for each in (near, apart))
  found = compared(far, far_apart, [(0, 1)]).pairs[0]
  assert found == pytest.approx(compared(near, apart, [(0, 1)]).pairs[0], abs=1e-4)
  assert found < 0.6


def test_very_many_categories_of_a_pair_are_counted_as_few_are():
  rng = np.random.default_rng(0)
  first, second = (rows(rng.integers(0, 40, (300, 2)), (2000, 2000)) for _ in range(2))
  spread = [each._replace(values=each.values * 50.0) for each in (first, second)]
  assert compared(*spread, [(0, 1)]).pairs[0] == pytest.approx(compared(first, second, [(0, 1)]).pairs[0])


def test_errors_of_the_mean_are_those_of_tables_that_are_drawn_anew():
  found = [compared(drawn(2 * i, 300), drawn(2 * i + 1, 300), bootstraps=0) for i in range(60)]
  told = [compared(drawn(2 * i, 300), drawn(2 * i + 1, 300), bootstraps=20) for i in range(4)]
  for value, error in (("shape", "shape_error"), ("trend", "trend_error")):
    spread = np.std([getattr(each, value) for each in found])
    said = np.mean([getattr(each, error) for each in told])
    assert 0.6 * spread < said < 1.9 * spread


def test_a_difference_of_two_tables_shares_the_real_rows_that_are_drawn_anew():
  real = drawn(0, 60)
  first, second = (compared(real, drawn(seed, 300), bootstraps=30) for seed in (1, 2))
  assert errors_of_difference(first, first) == (0.0, 0.0)
  apart = (first.shape_error**2 + second.shape_error**2) ** 0.5
  assert 0 < errors_of_difference(first, second)[0] < 0.8 * apart
  assert all(np.isnan(errors_of_difference(compared(real, real), compared(real, real))))


def test_pairs_are_all_or_so_many_by_a_seed():
  assert pairs_of(3, 3, 0) == [(0, 1), (0, 2), (1, 2)]
  some = pairs_of(50, 100, 1)
  assert len(set(some)) == 100
  assert some == pairs_of(50, 100, 1) != pairs_of(50, 100, 2)
  assert pairs_of(1, 10, 0) == []


def test_shares_count_missing_numbers_in_no_bin():
  table = rows([[0.5], [1.5], [np.nan], [9.0]], (0,))
  np.testing.assert_allclose(shares(table, 0, np.array([0.0, 1.0, 2.0])), [0.25, 0.5])
