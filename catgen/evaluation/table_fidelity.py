"""How alike two tables are, column by column and pair by pair: shape and trend, as the literature on tables has them.

Missing is a value like another: of numbers it lies below all of them.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int, Int64

_DECILES = 10  # that numbers are cut into, beside categories
_CONSTANT = 1e-13  # of the largest number: what differs by less may be rounding
_LARGEST_TABLE = 2**20  # cells of a pair's table that are counted one by one

Weights = tuple[Float64[np.ndarray, "rows"], Float64[np.ndarray, "others"]]  # how often each row of two tables counts


class Rows(NamedTuple):
  """The rows of a table as numbers, all tables of a comparison in the same way.

  Attributes:
    names: of the columns.
    sizes: number of categories of each column; 0: it has numbers.
    ordered: whether the categories of a column are in an order that means something.
    values: categories from 0, or numbers with NaN for what is missing.
  """

  names: tuple[str, ...]
  sizes: tuple[int, ...]
  ordered: tuple[bool, ...]
  values: Float64[np.ndarray, "rows columns"]

  @property
  def number(self) -> int:
    """How many rows there are."""
    return len(self.values)

  def take(self, numbers: Int[np.ndarray, "chosen"]) -> "Rows":
    """Returns some rows."""
    return self._replace(values=self.values[numbers])


class Alike(NamedTuple):
  """Similarities of two tables, each 1 where nothing differs, with standard errors over rows."""

  columns: Float64[np.ndarray, "columns"]  # shape of each
  pairs: Float64[np.ndarray, "pairs"]  # trend of each
  drawn: Float64[np.ndarray, "bootstraps two"]  # means of shape and of trend on rows that were drawn anew

  @property
  def shape(self) -> float:
    """Mean over columns."""
    return float(self.columns.mean())

  @property
  def trend(self) -> float:
    """Mean over pairs; NaN where there is one column."""
    return float(self.pairs.mean()) if self.pairs.size else math.nan

  @property
  def shape_error(self) -> float:
    """Of the mean; NaN where nothing was drawn anew."""
    return _error(self.drawn[:, 0])

  @property
  def trend_error(self) -> float:
    """Likewise."""
    return _error(self.drawn[:, 1])


def errors_of_difference(first: Alike, second: Alike) -> tuple[float, float]:
  """Returns the standard errors of the differences in shape and in trend of two tables of equally many rows.

  Both were compared with one real table by the same seed: its rows that are drawn anew are the same.
  """
  apart = first.drawn - second.drawn
  return _error(apart[:, 0]), _error(apart[:, 1])


def _error(values: Float64[np.ndarray, "bootstraps"]) -> float:
  return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def pairs_of(num_columns: int, most: int, seed: int) -> list[tuple[int, int]]:
  """Returns all pairs of columns, or `most` of them, drawn by a seed."""
  found = list(itertools.combinations(range(num_columns), 2))
  if len(found) <= most:
    return found
  chosen = np.random.default_rng(seed).choice(len(found), most, replace=False)
  return [found[i] for i in np.sort(chosen)]


def alike(real: Rows, other: Rows, pairs: list[tuple[int, int]], *, bootstraps: int, seed: int) -> Alike:
  """Returns how alike a table is to a real one.

  Shape of a column of numbers: 1 less the largest difference of the two distribution functions (Kolmogorov-Smirnov).
  Of categories: 1 less the total variation distance of their shares. Trend of two columns of numbers: 1 less half the
  difference of their correlations, over the rows that have both, 0 where one is constant. Of others: 1 less the total
  variation distance of their tables, where numbers are cut at the deciles of the real ones.

  Args:
    real, other: the tables.
    pairs: of columns.
    bootstraps: how often rows are drawn anew, with replacement, for the standard errors of the means.
    seed: of these.

  Where tables are alike the errors are nearly a third too large, since distances cannot fall below 0: of tables of one
  law 0.0199 of shape where the standard deviation is 0.0151 (150 rows), 0.0111 where it is 0.0085 (500 rows). Where one
  column of four is shifted by a standard deviation it is a tenth (`python -m benchmarks.calibration --parts=tables`,
  200 pairs of tables each).

  Reference: Patki et al. (2016), The Synthetic Data Vault; the names and cases are those of the package SDMetrics.
  """
  rng = np.random.default_rng(seed)
  weights = [(np.ones(real.number), np.ones(other.number))]
  weights += [(_again(rng, real.number), _again(rng, other.number)) for _ in range(bootstraps)]
  shapes = [_shapes(real, other, i, weights) for i in range(len(real.names))]
  cuts = _deciles(real)
  coded = [_coded(each, cuts) for each in (real, other)]
  trends = np.array([_trends(real, other, coded, pair, weights) for pair in pairs]).reshape(len(pairs), len(weights))
  drawn = np.full((bootstraps, 2), np.nan)
  drawn[:, 0] = np.mean(shapes, axis=0)[1:]
  if len(pairs):
    drawn[:, 1] = trends.mean(axis=0)[1:]
  return Alike(np.array(shapes)[:, 0], trends[:, 0], drawn)


def shares(rows: Rows, column: int, edges: Float64[np.ndarray, "edges"] | None = None) -> Float64[np.ndarray, "values"]:
  """Returns the shares of the categories of a column, or of the numbers between edges, of all rows."""
  values = rows.values[:, column]
  if edges is None:
    return np.bincount(values.astype(np.int64), minlength=rows.sizes[column]) / max(1, len(values))
  return np.histogram(np.clip(values[~np.isnan(values)], edges[0], edges[-1]), edges)[0] / max(1, len(values))


def _again(rng: np.random.Generator, number: int) -> Float64[np.ndarray, "rows"]:
  """Returns how often each row is drawn by a bootstrap."""
  return np.bincount(rng.integers(0, number, number), minlength=number).astype(np.float64)


def _shapes(real: Rows, other: Rows, column: int, weights: list[Weights]) -> list[float]:
  """Returns the shape of a column by each of several weights of the rows."""
  values = [np.where(np.isnan(each), -np.inf, each) for each in (real.values[:, column], other.values[:, column])]
  if size := real.sizes[column]:
    codes = [each.astype(np.int64) for each in values]
    return [1 - _apart(*_counts(codes, each, size)) for each in weights]
  points = np.unique(np.concatenate(values))
  codes, found = [np.searchsorted(points, each) for each in values], []
  for each in weights:
    first, second = (np.cumsum(counts) / counts.sum() for counts in _counts(codes, each, len(points)))
    found.append(1 - float(np.abs(first - second).max()))
  return found


def _counts(codes: list[np.ndarray], weights: Weights, size: int) -> list[Float64[np.ndarray, "cells"]]:
  return [np.bincount(c, w, size) for c, w in zip(codes, weights, strict=True)]


def _apart(first: Float64[np.ndarray, "cells"], second: Float64[np.ndarray, "cells"]) -> float:
  """Returns the total variation distance of two sets of counts."""
  return float(np.abs(first / first.sum() - second / second.sum()).sum() / 2)


def _trends(
  real: Rows,
  other: Rows,
  coded: list[Int64[np.ndarray, "_ columns"]],
  pair: tuple[int, int],
  weights: list[Weights],
) -> list[float]:
  """Returns the trend of a pair of columns by each of several weights of the rows."""
  a, b = pair
  if not real.sizes[a] and not real.sizes[b]:
    values = [rows.values[:, pair] for rows in (real, other)]
    found = [[_correlation(x, w) for x, w in zip(values, each, strict=True)] for each in weights]
    return [1 - abs(first - second) / 2 for first, second in found]
  width = 1 + max(int(codes[:, b].max(initial=0)) for codes in coded)
  cells = [codes[:, a] * width + codes[:, b] for codes in coded]
  if (largest := 1 + max(int(each.max(initial=0)) for each in cells)) > _LARGEST_TABLE:
    known, places = np.unique(np.concatenate(cells), return_inverse=True)
    cells, largest = np.split(places, [len(cells[0])]), len(known)
  return [1 - _apart(*_counts(cells, each, largest)) for each in weights]


def _correlation(values: Float64[np.ndarray, "rows two"], weights: Float64[np.ndarray, "rows"]) -> float:
  both = ~np.isnan(values).any(axis=1) & (weights > 0)
  if not both.any():
    return 0.0
  w, x = weights[both] / weights[both].sum(), values[both]
  largest = np.abs(x).max(axis=0)
  x = x / np.where(largest > 0, largest, 1.0)  # so that nothing overflows
  x = x - w @ x
  scale = np.abs(x).max(axis=0)
  if scale.min() <= _CONSTANT:
    return 0.0
  x = x / scale  # numbers that are close to one another and far from 0 keep their digits
  covariance = (x * w[:, None]).T @ x
  return float(np.clip(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]), -1, 1))


def _deciles(real: Rows) -> list[Float64[np.ndarray, "_"] | None]:
  """Returns the inner deciles of the numbers of each column; None of categories."""
  found: list[np.ndarray | None] = []
  for i, size in enumerate(real.sizes):
    values = real.values[:, i]
    known = values[~np.isnan(values)]
    inner = np.arange(1, _DECILES) / _DECILES
    found.append(None if size else np.unique(np.quantile(known, inner)) if known.size else np.zeros(0))
  return found


def _coded(rows: Rows, cuts: list[Float64[np.ndarray, "_"] | None]) -> Int64[np.ndarray, "rows columns"]:
  """Returns categories; numbers as the decile that they are in, missing ones behind."""
  found = np.empty(rows.values.shape, np.int64)
  for i, inner in enumerate(cuts):
    values = rows.values[:, i]
    if inner is None:
      found[:, i] = values
    else:
      found[:, i] = np.where(np.isnan(values), len(inner) + 1, np.searchsorted(inner, values, side="right"))
  return found
