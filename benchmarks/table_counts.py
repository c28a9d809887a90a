"""Rivals of a model of tables that are counted in a moment: columns by themselves, a chain of columns, a tree of them.

Each is an exact law of the discretized table. All sums of counts are smoothed by the number that validation rows like
best, of those in `STRENGTHS`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int, Int64

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Counts(NamedTuple):
  """Columns in an order in which each is drawn given one before it.

  Attributes:
    order: numbers of the columns.
    parents: of each column, by its number, the column that it is given; -1: none.
    tables: of each column, by its number: its probabilities, by the categories of its parent, one row without one.
  """

  order: tuple[int, ...]
  parents: tuple[int, ...]
  tables: tuple[Float64[np.ndarray, "parents sizes"], ...]

  def bits(self, x: Int[np.ndarray, "rows columns"]) -> Float64[np.ndarray, "rows"]:
    """Returns -log2 p of each row, exactly."""
    found = np.zeros(len(x))
    for column, table in enumerate(self.tables):
      found -= np.log2(table[self._given(x, column), x[:, column]])
    return found

  def sample(self, number: int, seed: int) -> Int64[np.ndarray, "rows columns"]:
    """Returns so many rows."""
    rng, x = np.random.default_rng(seed), np.zeros((number, len(self.order)), np.int64)
    for column in self.order:
      steps = np.cumsum(self.tables[column], axis=1)[self._given(x, column)]
      x[:, column] = (rng.random((number, 1)) * steps[:, -1:] >= steps).sum(axis=1)
    return x

  def _given(self, x: Int[np.ndarray, "rows columns"], column: int) -> Int64[np.ndarray, "rows"]:
    parent = self.parents[column]
    return np.zeros(len(x), np.int64) if parent < 0 else x[:, parent].astype(np.int64)


def independent(sizes: Sequence[int], train: np.ndarray, validation: np.ndarray) -> Counts:
  """Returns every column by itself."""
  return _best(sizes, range(len(sizes)), [-1] * len(sizes), train, validation)


def chain(sizes: Sequence[int], train: np.ndarray, validation: np.ndarray) -> Counts:
  """Returns every column given the one before it in the table."""
  return _best(sizes, range(len(sizes)), range(-1, len(sizes) - 1), train, validation)


def tree(sizes: Sequence[int], train: np.ndarray, validation: np.ndarray) -> Counts:
  """Returns the tree of columns with the largest mutual information, corrected for chance (Chow and Liu, 1968)."""
  number = len(sizes)
  shared = np.full((number, number), -np.inf)
  for a in range(number):
    for b in range(a):
      shared[a, b] = shared[b, a] = _shared(train[:, a], train[:, b], sizes[a], sizes[b])
  order, parents = [0], [-1] * number
  while len(order) < number:
    rest = [i for i in range(number) if i not in order]
    edges = shared[np.ix_(rest, order)]
    place = int(edges.argmax())
    column, parent = rest[place // len(order)], order[place % len(order)]
    parents[column] = parent if edges.max() > 0 else -1
    order.append(column)
  return _best(sizes, order, parents, train, validation)


def _shared(a: np.ndarray, b: np.ndarray, size_a: int, size_b: int) -> float:
  """Returns the mutual information of two columns in nats, less its mean where there is none (Miller, 1955)."""
  joint = np.bincount(a.astype(np.int64) * size_b + b, minlength=size_a * size_b).reshape(size_a, size_b) / len(a)
  apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
  seen = joint > 0
  bias = ((joint.sum(axis=1) > 0).sum() - 1) * ((joint.sum(axis=0) > 0).sum() - 1) / (2 * len(a))
  return float((joint[seen] * np.log(joint[seen] / apart[seen])).sum() - bias)


def _best(
  sizes: Sequence[int], order: Sequence[int], parents: Sequence[int], train: np.ndarray, validation: np.ndarray
) -> Counts:
  """Returns the counts of training rows, each column with the strength that needs the fewest bits of validation."""
  tables = []
  for column, parent in enumerate(parents):
    found = [_table(sizes, column, parent, train, strength) for strength in STRENGTHS]
    given = np.zeros(len(validation), np.int64) if parent < 0 else validation[:, parent]
    bits = [-np.log2(each[given, validation[:, column]]).sum() for each in found]
    tables.append(found[int(np.argmin(bits))])
  return Counts(tuple(order), tuple(parents), tuple(tables))


def _table(
  sizes: Sequence[int], column: int, parent: int, train: np.ndarray, strength: float
) -> Float64[np.ndarray, "parents sizes"]:
  """Returns smoothed shares: of a column by itself towards even ones, given another towards those by itself."""
  size, values = sizes[column], train[:, column].astype(np.int64)
  alone = np.bincount(values, minlength=size) + strength / size
  alone = alone / alone.sum()
  if parent < 0:
    return alone[None]
  pairs = np.bincount(train[:, parent].astype(np.int64) * size + values, minlength=sizes[parent] * size)
  together = pairs.reshape(-1, size) + strength * alone
  return together / together.sum(axis=1, keepdims=True)
