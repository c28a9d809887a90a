"""Boosted trees on tables whose laws are known: what is told apart, what is learned, what is copied."""

import math

import numpy as np
import pytest
import scipy.stats

from catgen.evaluation import table_trees
from catgen.evaluation.table_fidelity import Rows
from catgen.evaluation.table_trees import copied, halves, learned_from, told_apart
from catgen.interfaces import InputError


@pytest.fixture(autouse=True)
def one_thread():
  with table_trees.one_thread():
    yield


def rows(values, sizes, ordered=None):
  names = tuple("abcdefgh"[: len(sizes)])
  return Rows(names, tuple(sizes), ordered or tuple(not size for size in sizes), np.asarray(values, np.float64))


def labelled(seed, number, flip=0.0, shift=0.0):
  """A number, five categories of which two decide with it what the label is, and the label."""
  rng = np.random.default_rng(seed)
  a, kind = rng.normal(size=number) + shift, rng.integers(0, 5, number)
  label = (a + 2.0 * (kind % 2) > 1.0) ^ (rng.random(number) < flip)
  return rows(np.stack([a, kind, label], axis=1), (0, 5, 2))


def test_tables_of_one_law_are_not_told_apart_and_a_shift_is_as_far_as_it_must():
  alike = told_apart(labelled(0, 400), labelled(1, 400), seed=0)
  assert abs(alike.auc - 0.5) < 4 * alike.error < 0.2
  shifted = told_apart(labelled(0, 600), labelled(1, 600, shift=1.5), seed=0)
  best = scipy.stats.norm.cdf(1.5 / math.sqrt(2))
  assert best - 0.12 < shifted.auc < best + 0.04


class ByMeans:
  """What learns the direction from one mean to the other: in place of trees, which take too long to be made often."""

  def __init__(self, x, y):
    self.direction = x[y].mean(axis=0) - x[~y].mean(axis=0)

  def predict_proba(self, x):
    return np.stack([-x @ self.direction, x @ self.direction], axis=1)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_errors_cover_the_auc_as_often_as_they_say_though_folds_share_what_they_learn_from(monkeypatch, shift):
  """Two standard errors hold 95 % of tables of one law; taken for folds that share nothing they hold 85 %."""
  monkeypatch.setattr(table_trees, "_fitted", lambda kind, x, y, *rest: ByMeans(x, y))
  rng, found = np.random.default_rng(0), []
  for _ in range(250):
    real, other = rng.normal(size=(2, 100, 2))
    found.append(told_apart(rows(real, (0, 0)), rows(other + [shift, 0.0], (0, 0)), seed=0))
  auc, error = np.array(found).T
  right = 0.5 if shift == 0 else auc.mean()
  assert 0.92 < (np.abs(auc - right) < 1.96 * error).mean() < 0.995
  assert np.sqrt(np.square(error).mean()) < 1.5 * auc.std()


@pytest.mark.slow
def test_dependence_tells_tables_apart_where_columns_by_themselves_do_not():
  table = labelled(0, 600)
  rng = np.random.default_rng(0)
  shuffled = table._replace(values=np.stack([rng.permutation(column) for column in table.values.T], axis=1))
  assert told_apart(labelled(1, 600), shuffled, seed=0).auc > 0.65


def test_few_rows_say_nothing():
  assert math.isnan(told_apart(labelled(0, 600), labelled(1, 9), seed=0).auc)
  assert math.isnan(learned_from(labelled(0, 9), labelled(1, 50), labelled(2, 50), 2, seed=0).values[0])


def test_a_label_is_learned_from_the_table_that_has_it_right():
  found = learned_from(labelled(0, 500, flip=0.5), labelled(1, 500), labelled(2, 400), 2, seed=0)
  assert found.measure == "AUC"
  assert abs(found.values[0] - 0.5) < 0.12
  assert found.values[1] > 0.97
  assert found.difference == pytest.approx(found.values[0] - found.values[1])
  assert 0 < found.difference_error < 0.06
  assert found.nothing == 0.5


def test_more_values_have_an_accuracy_and_numbers_a_share_of_the_variance():
  by_kind = learned_from(labelled(0, 400), labelled(1, 400), labelled(2, 300), 1, seed=0)
  assert by_kind.measure == "accuracy"
  assert by_kind.nothing == pytest.approx(0.2, abs=0.08)
  rng = np.random.default_rng(0)
  a = rng.normal(size=(3, 300))
  tables = [rows(np.stack([x, 2 * x], axis=1), (0, 0)) for x in a]
  broken = tables[0]._replace(values=tables[0].values * [1, -1])
  found = learned_from(broken, tables[1], tables[2], 1, seed=0)
  assert found.measure == "R²"
  assert found.values[0] < 0 < 0.9 < found.values[1] <= 1


def test_a_table_of_one_label_teaches_nothing():
  constant = labelled(0, 100)
  constant.values[:, 2] = 1.0
  found = learned_from(constant, labelled(1, 100), labelled(2, 100), 2, seed=0)
  assert found.values[0] == 0.5


@pytest.mark.slow
def test_very_many_categories_are_taken():
  rng = np.random.default_rng(0)
  tables = [rows(np.stack([rng.integers(0, 5000, 200), rng.integers(0, 2, 200)], 1), (5000, 2)) for _ in range(3)]
  assert 0.3 < learned_from(*tables, 1, seed=0).values[0] < 0.7
  assert 0.3 < told_apart(*tables[:2], seed=0).auc < 0.7


def test_copies_are_rows_that_are_equal_in_every_value():
  train = rows([[1.0, np.nan], [2.0, 0.0]], (0, 0))
  found = copied(rows([[1.0, np.nan], [1.0, 0.0], [2.0, -0.0]], (0, 0)), train)
  assert found.tolist() == [True, False, True]


def test_halves_are_all_of_it():
  first, second = halves(7, 0)
  assert sorted([*first, *second]) == list(range(7))
  assert len(first) == 3


def test_what_is_not_installed_is_named(monkeypatch):
  monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
  with pytest.raises(InputError, match=r"pip install 'catgen\[tables\]'"):
    table_trees.library()
