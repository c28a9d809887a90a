"""Numbers as categories: points, which are numbers with a category of their own, and bins between quantiles.

A column of n + 1 edges e_0 < ... < e_n has n bins [e_k, e_(k+1)), and behind them a category for each point. A number
that is drawn in a bin is uniform on it: on the numbers with so many decimals as the column has, points aside.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int, Int64

from catgen.data.tabular.cells import Form, first_day, last_day

_WHOLE = 2.0**53  # below it a float holds every whole number


class Bins(NamedTuple):
  """The categories of a column of numbers."""

  edges: tuple[float, ...] = ()  # ascending; one more than there are bins, or none
  points: tuple[float, ...] = ()  # ascending

  @property
  def number(self) -> int:
    """How many bins there are."""
    return max(0, len(self.edges) - 1)

  @property
  def size(self) -> int:
    """How many categories there are."""
    return self.number + len(self.points)


def learned(
  values: Float64[np.ndarray, "distinct"],
  counts: Int[np.ndarray, "distinct"],
  form: Form,
  *,
  num_bins: int,
  spike: float,
) -> Bins:
  """Returns the categories of numbers that occur so often.

  Where no more than `num_bins` differ each is a point. Else those of more than the share `spike` are points, and cuts
  at the quantiles k / num_bins of the others make bins. A cut lies in the middle of two numbers that occur, rounded up
  to the column's decimals; equal numbers are in one bin.

  Args:
    values: ascending.
    counts: of each, > 0.
    form: of the column.
    num_bins: at most so many, at least 1.
    spike: share of all.
  """
  if len(values) <= num_bins:
    return Bins((), tuple(values.tolist()))
  frequent = counts > spike * counts.sum()
  others, many = values[~frequent], counts[~frequent]
  points = tuple(values[frequent].tolist())
  if not others.size:
    return Bins((), points)
  total = np.cumsum(many)
  cuts = np.searchsorted(total, total[-1] * np.arange(1, num_bins) / num_bins)
  cuts = np.unique(cuts[cuts < len(others) - 1])
  inner = [_between(float(others[i]), float(others[i + 1]), form) for i in cuts.tolist()]
  return Bins((float(others[0]), *inner, _above(float(others[-1]), form)), points)


def categories(numbers: Float64[np.ndarray, "n"], bins: Bins) -> Int64[np.ndarray, "n"]:
  """Returns the category of each number: of those beyond the edges the first or the last bin, and where there are no
  bins that of the nearest point, of two as near the larger."""
  points = np.array(bins.points)
  if bins.number:
    found = np.searchsorted(np.array(bins.edges[1:-1]), numbers, side="right")
  else:
    found = np.searchsorted(points[1:] / 2 + points[:-1] / 2, numbers, side="right")
  if not points.size:
    return found
  nearest = np.minimum(np.searchsorted(points, numbers), len(points) - 1)
  return np.where(points[nearest] == numbers, bins.number + nearest, found)


def drawn(category: int, uniform: float, bins: Bins, form: Form) -> float:
  """Returns the number that a category means: of a bin, the one that a uniform number in [0, 1) chooses there."""
  if category >= bins.number:
    return bins.points[category - bins.number]
  low, high = bins.edges[category], bins.edges[category + 1]
  if form.decimals is None:
    return min(max((1 - uniform) * low + uniform * high, low), math.nextafter(high, -math.inf))
  unit, (first, stop, inside) = 10**form.decimals, _numbers_of(category, bins, 10**form.decimals)
  chosen = first + min(int(uniform * (stop - first + 1 - len(inside))), stop - first - len(inside))
  for point in sorted(inside):
    chosen += chosen >= point
  return chosen / unit if unit > 1 else float(chosen)


def span(category: int, bins: Bins, decimals: int) -> tuple[int, int]:
  """Returns the first number of a bin in units of the last decimal, and how many there are, points among them."""
  first, last, _ = _numbers_of(category, bins, 10**decimals)
  return first, last - first + 1


def widths(bins: Bins, form: Form) -> Float64[np.ndarray, "bins"]:
  """Returns over how much each bin is spread, in the column's units: one over the density of what `drawn` draws in it.

  Of a column with decimals that is the numbers of the bin, points aside, times one of the last decimal.

  Example:
    >>> widths(Bins((0.0, 10.0), (0.0, 3.0)), Form()).tolist()
    [8.0]
  """
  if form.decimals is None:
    return np.diff(bins.edges)
  unit, found = 10**form.decimals, []
  for category in range(bins.number):
    first, last, inside = _numbers_of(category, bins, unit)
    found.append((last - first + 1 - len(inside)) / unit)
  return np.array(found)


def check(bins: Bins, form: Form) -> None:
  """Raises ValueError unless edges and points are numbers of a form, and each bin has one beside the points."""
  numbers = (*bins.edges, *bins.points)
  if form.date is not None and not all(first_day(form) <= number <= last_day(form) for number in numbers):
    raise ValueError("edges and points are numbers of days, or of seconds, that no calendar has")
  if form.decimals is None:
    return
  unit = 10**form.decimals
  for number in numbers:
    if abs(number) * unit < _WHOLE and _units(number, unit) / unit != number:
      raise ValueError(f"{number} has more than {form.decimals} decimals; round edges and points, or change decimals")
  for category in range(bins.number):
    first, stop, inside = _numbers_of(category, bins, unit)
    if stop - first + 1 <= len(inside):
      raise ValueError(f"the bin that begins at {bins.edges[category]} has no number beside the points; widen it")


def _numbers_of(category: int, bins: Bins, unit: int) -> tuple[int, int, list[int]]:
  """Returns the first and the last number of a bin, and the points in it, in units of the last decimal."""
  low, high = bins.edges[category], bins.edges[category + 1]
  return _units(low, unit), _units(_below(high, unit), unit), [_units(p, unit) for p in bins.points if low <= p < high]


def _between(low: float, high: float, form: Form) -> float:
  """Returns where to cut between two numbers: above the first, and not above the second."""
  unit = 10 ** (form.decimals or 0)
  if form.decimals is None or abs(high) * unit >= _WHOLE or abs(low) * unit >= _WHOLE:
    middle = low / 2 + high / 2
    return middle if middle > low else high
  return ((_units(low, unit) + _units(high, unit) + 1) // 2) / unit


def _above(number: float, form: Form) -> float:
  """Returns the smallest number of the column's decimals above one."""
  unit = 10 ** (form.decimals or 0)
  if form.decimals is None or abs(number) * unit >= _WHOLE:
    return math.nextafter(number, math.inf)
  return (_units(number, unit) + 1) / unit


def _below(edge: float, unit: int) -> float:
  """Returns the largest number of the column's decimals below an edge."""
  if abs(edge) * unit >= _WHOLE:
    return math.nextafter(edge, -math.inf)
  return (_units(edge, unit) - 1) / unit


def _units(number: float, unit: int) -> int:
  return round(number * unit) if unit > 1 else int(number)
