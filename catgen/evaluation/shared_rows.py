"""Rows of a table that are rows of another, value by value: by chance, or because one was taken from the other."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Shaped

_DEVIATIONS = 5.0  # beyond what chance explains
_UNSEEN = 3.0  # of so many rows none may be seen where about as many are expected


class Shared(NamedTuple):
  """How many rows of a table are rows of another one, from which it should have been drawn apart."""

  number: int
  rows: int  # of the first table
  by_chance: float  # how many are to be expected: the share of the other table's rows that occur there twice
  taken: bool  # more are than chance explains: some rows of the first are the other's own


def shared(rows: Shaped[np.ndarray, "rows columns"], others: Shaped[np.ndarray, "others columns"]) -> Shared:
  """Returns how many rows are rows of another table, beside how many would be if both were drawn from one law.

  A row that is drawn anew equals one of the others about as often as one of the others equals another of them. More
  than five standard deviations beyond that are no chance.

  Args:
    rows, others: numbers or categories without NaN, in the same columns.

  Example:
    >>> shared(np.array([[1, 2], [3, 4]]), np.array([[3, 4], [5, 6], [7, 8]])).number
    1
  """
  known, counts = np.unique(np.ascontiguousarray(others), axis=0, return_counts=True)
  number = int(present(rows, known).sum())
  share = float(counts[counts > 1].sum()) / max(1, len(others))
  upper = min(1.0, (share * len(others) + _UNSEEN) / (len(others) + _UNSEEN))
  beyond = len(rows) * upper + _DEVIATIONS * math.sqrt(len(rows) * upper * (1 - upper))
  return Shared(number, len(rows), share * len(rows), number > beyond)


def present(
  rows: Shaped[np.ndarray, "rows columns"], others: Shaped[np.ndarray, "others columns"]
) -> Bool[np.ndarray, "rows"]:
  """Returns which rows are, value by value, rows of another table of the same kind of numbers."""
  there = {row.tobytes() for row in np.ascontiguousarray(others, rows.dtype)}
  return np.array([row.tobytes() in there for row in np.ascontiguousarray(rows)], bool)
