"""Boosted trees on tables: whether they tell one from another, and what is learned from one for use on another."""

import importlib
import math
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped

from catgen.evaluation import shares
from catgen.evaluation.outliers import ADDED, placements, separation
from catgen.evaluation.shared_rows import present
from catgen.evaluation.table_fidelity import Rows
from catgen.interfaces import InputError

_MOST_CATEGORIES = 200  # that trees know apart; the rarest are one
_FOLDS = 5
_RESAMPLES = 200  # of the test rows


class Told(NamedTuple):
  """How well trees tell two tables apart."""

  auc: float  # area under the ROC curve, on rows that the trees have not seen: 0.5 = not at all; NaN: too few rows
  error: float  # standard error over rows, those that were trained on too


class Learned(NamedTuple):
  """How well a column of the test rows is predicted after training on each of two tables."""

  target: str
  measure: str  # "AUC" of two values, "accuracy" of more, "R²" of numbers
  values: tuple[float, float]  # NaN: there are too few rows
  errors: tuple[float, float]  # over the test rows
  difference: float  # the first less the second
  difference_error: float  # over the test rows, which both share
  nothing: float  # what is reached without looking at the row


def told_apart(real: Rows, other: Rows, *, seed: int) -> Told:
  """Returns how well boosted trees tell two tables apart, by five-fold cross-validation on as many rows of each.

  The AUC is the mean over folds. Its error takes the variance within each fold (DeLong et al., 1988) and, since trees
  of different folds have learned from rows in common, a correlation between folds as large as the share of the rows
  that one fold has: 1 / 5, so that the variance is 9 / 5 of that of folds that have nothing in common. Of 200
  pairs of tables each, 96.5 % of AUCs are within 1.96 errors of 0.5 where 150 rows are of one law, as where 500 are;
  where one column of four is shifted by a standard deviation, 96 and 93 % are within 1.96 errors of their mean
  (`python -m benchmarks.calibration --parts=tables`, seed 0).

  Reference: Nadeau and Bengio (2003), Inference for the generalization error. Their corrected variance of the mean of k
  folds, s^2 (1 / k + 1 / (k - 1)), has the same expectation at this correlation; but s^2, the variance between folds,
  is known of five to no more than 70 %.
  """
  rng = np.random.default_rng(seed)
  number = min(real.number, other.number)
  if number < 2 * _FOLDS:
    return Told(math.nan, math.nan)
  sets = [each.take(rng.permutation(each.number)[:number]) for each in (real, other)]
  both = sets[0]._replace(values=np.concatenate([each.values for each in sets]))
  x, categorical = _features(both, range(len(both.names)))
  is_other, fold = np.arange(2 * number) >= number, np.arange(2 * number) % number * _FOLDS // number
  found = []
  for i in range(_FOLDS):
    scores = _fitted("Classifier", x[fold != i], is_other[fold != i], categorical, seed).predict_proba(x[fold == i])[
      :, 1
    ]
    found.append(separation(scores[is_other[fold == i]], scores[~is_other[fold == i]]))
  within, correlation = float(np.mean([each.error**2 for each in found])), 1 / _FOLDS
  error = math.sqrt(within * (1 + (_FOLDS - 1) * correlation) / _FOLDS)
  return Told(float(np.mean([each.probability for each in found])), error)


def learned_from(first: Rows, second: Rows, test: Rows, column: int, *, seed: int) -> Learned:
  """Returns how well a column of `test` is predicted by boosted trees that learned it from `first` and from `second`.

  Rows in which the column is a number that is missing are left out; missing categories are categories.

  Args:
    first, second, test: the tables.
    column: number of the column.
    seed: of the trees, and of the test rows that are drawn anew for the errors of an R².

  Those of an AUC and of an accuracy are never 0, however many are right: see the module `shares`.
  """
  name, size = test.names[column], test.sizes[column]
  tables = [each.take(np.flatnonzero(~np.isnan(each.values[:, column]))) for each in (first, second, test)]
  truth = tables[2].values[:, column]
  known = np.unique(truth)
  measure = "R²" if not size else "AUC" if len(known) == 2 else "accuracy"
  if min(each.number for each in tables) < 10 or len(known) < 2 or len(test.names) < 2:
    return Learned(name, measure, (math.nan, math.nan), (math.nan, math.nan), math.nan, math.nan, math.nan)
  others = [i for i in range(len(test.names)) if i != column]
  together = test._replace(values=np.concatenate([each.values for each in tables]))
  x, categorical = _features(together, others)
  parts = np.split(x, np.cumsum([each.number for each in tables])[:2])
  said = [
    _predicted(measure, parts[i], tables[i].values[:, column], parts[2], known, categorical, seed) for i in range(2)
  ]
  values = [_measured(measure, each, truth, known) for each in said]
  first_error, second_error, difference_error = _errors(measure, said, truth, known, seed)
  nothing = {"R²": 0.0, "AUC": 0.5}.get(measure, float(np.mean(truth == _most(tables[1].values[:, column]))))
  return Learned(
    target=name,
    measure=measure,
    values=(values[0], values[1]),
    errors=(first_error, second_error),
    difference=values[0] - values[1],
    difference_error=difference_error,
    nothing=nothing,
  )


def _features(rows: Rows, columns: Any) -> tuple[Float64[np.ndarray, "rows features"], Bool[np.ndarray, "features"]]:
  """Returns what trees see, and which of it has no order; of very many categories the rarest are one."""
  found = rows.values[:, list(columns)].copy()
  categorical = np.array([rows.sizes[i] > 0 and not rows.ordered[i] for i in columns])
  for place in np.flatnonzero(categorical):
    known, codes, counts = np.unique(found[:, place], return_inverse=True, return_counts=True)
    rank = np.empty(len(known), np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(known))
    found[:, place] = np.minimum(rank, _MOST_CATEGORIES)[codes]
  return found, categorical


def library() -> Any:
  """Returns scikit-learn's ensembles. Raises InputError where it is not installed."""
  try:
    from sklearn import ensemble
  except ImportError as error:
    raise InputError("tables are told apart by scikit-learn: pip install 'catgen[tables]'") from error
  return ensemble


def _fitted(
  kind: str, x: np.ndarray, y: Shaped[np.ndarray, "rows"], categorical: Bool[np.ndarray, "features"], seed: int
) -> Any:
  """Returns trees that have learned."""
  options = {"categorical_features": categorical, "early_stopping": False, "random_state": seed}
  return getattr(library(), f"HistGradientBoosting{kind}")(**options).fit(x, y)


def one_thread() -> AbstractContextManager[Any]:
  """Returns what keeps trees to one thread: several wait for one another where other programs compute too."""
  library()
  return importlib.import_module("threadpoolctl").threadpool_limits(1)


def _predicted(
  measure: str,
  x: Float64[np.ndarray, "rows features"],
  y: Float64[np.ndarray, "rows"],
  test: Float64[np.ndarray, "tests features"],
  known: Float64[np.ndarray, "classes"],
  categorical: Bool[np.ndarray, "features"],
  seed: int,
) -> Float64[np.ndarray, "tests"]:
  """Returns what is said of test rows: a number, a category, or of two the score of the second."""
  if len(np.unique(y)) < 2:
    return np.full(len(test), float(y[0]) if measure != "AUC" else 0.0)
  if measure == "R²":
    return _fitted("Regressor", x, y, categorical, seed).predict(test).astype(np.float64)
  trees = _fitted("Classifier", x, y, categorical, seed)
  if measure == "accuracy":
    return trees.predict(test).astype(np.float64)
  scores = dict(zip(trees.classes_.tolist(), trees.predict_proba(test).T, strict=True))
  nothing = np.zeros(len(test))
  return (scores.get(known[1], nothing) - scores.get(known[0], nothing)).astype(np.float64)


def _measured(measure: str, said: np.ndarray, truth: np.ndarray, known: np.ndarray) -> float:
  if measure == "accuracy":
    return float((said == truth).mean())
  if measure == "AUC":
    return float(placements(said[truth == known[1]], said[truth == known[0]])[0].mean())
  spread = np.square(truth - truth.mean()).sum()
  return float(1 - np.square(said - truth).sum() / spread) if spread > 0 else math.nan


def _errors(
  measure: str, said: list[np.ndarray], truth: np.ndarray, known: np.ndarray, seed: int
) -> tuple[float, float, float]:
  """Returns the standard errors of both values and of their difference, over the test rows."""
  if measure == "R²":
    rng, drawn = np.random.default_rng(seed), np.empty((_RESAMPLES, 2))
    for one in drawn:
      rows = rng.integers(0, len(truth), len(truth))
      while np.ptp(truth[rows]) == 0:
        rows = rng.integers(0, len(truth), len(truth))
      one[:] = [_measured(measure, each[rows], truth[rows], known) for each in said]
    first, second, difference = np.column_stack([drawn, drawn[:, 0] - drawn[:, 1]]).std(axis=0, ddof=1).tolist()
    return first, second, difference
  if measure == "accuracy":
    right = [(each == truth) * 1.0 for each in said]
    first, second = map(shares.error, right)
    return first, second, shares.error_of_mean(right[0] - right[1], (-1.0, 0.0, 0.0, 1.0))
  # of either value what each row adds to the mean, by the first table and by the second
  sets = list(zip(*(placements(each[truth == known[1]], each[truth == known[0]]) for each in said), strict=True))
  first, second = (math.hypot(*(shares.error_of_mean(each[i], ADDED) for each in sets)) for i in range(2))
  return first, second, math.hypot(*(shares.error_of_mean(each[0] - each[1], (-1.0, 1.0)) for each in sets))


def _most(values: Shaped[np.ndarray, "rows"]) -> float:
  known, counts = np.unique(values, return_counts=True)
  return float(known[counts.argmax()])


def copied(rows: Rows, train: Rows) -> Bool[np.ndarray, "rows"]:
  """Returns which rows are, value by value, rows of another table."""
  return present(comparable(rows), comparable(train))


def comparable(rows: Rows) -> Float64[np.ndarray, "rows columns"]:
  """Returns values of which equal ones have equal bytes, those that are missing too."""
  return np.where(np.isnan(rows.values), -np.inf, rows.values) + 0.0


def halves(number: int, seed: int) -> tuple[Int[np.ndarray, "half"], Int[np.ndarray, "rest"]]:
  """Returns the numbers of things in two halves by chance."""
  order = np.random.default_rng(seed).permutation(number)
  return np.sort(order[: number // 2]), np.sort(order[number // 2 :])
