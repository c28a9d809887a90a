"""Rows that two tables share: honest tables are not accused, and tables that were handed in are found."""

import numpy as np
import pytest
import scipy.stats

from catgen.evaluation import shared_rows
from catgen.evaluation.shared_rows import shared


def drawn(rng, number, kinds):
  """Returns rows by Zipf's law: a few are drawn many times, and many once."""
  p = 1 / np.arange(1, kinds + 1)
  return rng.choice(kinds, (number, 1), p=p / p.sum())


def test_rows_that_repeat_are_shared_by_chance():
  rng = np.random.default_rng(0)
  rows = rng.integers(0, 3, (400, 3))
  found = shared(rows[:200], rows[200:])
  assert found.number > 190
  assert not found.taken
  rare = rng.integers(0, 1000, (400, 3))
  assert shared(rare[:200], rare[200:]).number == 0
  assert shared(rare[:200], rare[180:]).taken


@pytest.mark.parametrize(("rows", "others", "kinds"), [(5000, 300, 3000), (500, 20, 100), (10_000, 200, 3000)])
def test_tables_of_one_law_are_not_accused(rows, others, kinds):
  """Of few others the share that repeats is a guess: taken for certain it accuses 5 to 30 in 100."""
  rng = np.random.default_rng(0)
  assert not any(shared(drawn(rng, rows, kinds), drawn(rng, others, kinds)).taken for _ in range(200_000 // rows))


@pytest.mark.parametrize(("others", "kinds"), [(300, 3000), (200, 3000), (1000, 3000)])
def test_training_rows_that_are_handed_in_are_found(others, kinds):
  """All of them or half of them; and among as many honest rows, where it is half of very many."""
  rng = np.random.default_rng(1)
  train = drawn(rng, others, kinds)
  assert shared(train, train).taken
  half = rng.choice(train, others // 2, replace=False)
  assert shared(half, train).taken
  if others == 1000:
    assert shared(np.concatenate([half, drawn(rng, others // 2, kinds)]), train).taken


def test_what_chance_explains_is_a_beta_binomial_of_estys_mean_and_variance():
  n1, n2, n = 14.5, 2.5, 21.5
  mean, variance = 1 - n1 / n, (n1 * (1 - n1 / n) + 2 * n2) / n**2
  both = mean * (1 - mean) / variance - 1
  law = scipy.stats.betabinom(500, mean * both, (1 - mean) * both)
  for number in (0, 100, 250, 500):  # scipy takes what is left of 1
    found = shared_rows._at_least(number, 500, 20, 14, 2)
    np.testing.assert_allclose(found, law.sf(number - 1), rtol=1e-6, atol=1e-11)


@pytest.mark.parametrize(("rows", "others"), [(0, 5), (5, 0), (3, 1), (4, 4)])
def test_tables_of_hardly_any_rows_or_of_one_row_are_taken(rows, others):
  assert not shared(np.zeros((rows, 2)), np.zeros((others, 2))).taken
