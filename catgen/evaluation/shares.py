"""Shares of things that were counted, with errors that are honest where none or all of them were seen.

The plain standard error of a share is 0 there, however few were looked at. So a few more are taken to have been seen,
half of them one way and half the other: four of a share ("plus four"; Agresti and Coull, 1998, Approximate is better
than "exact" for interval estimation of binomial proportions), and two of each set where two sets are compared (Agresti
and Caffo, 2000, Simple and effective confidence intervals for proportions and differences of proportions). Of none of n
two such errors are 2.8 / n, near the "rule of three" (3 / n); of many seen both ways nothing changes. Of few seen both
ways plus four alone would be too small (0.139 where five of ten were seen, for 0.158): there the plain error stays.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real

from catgen.bounds import ratio_error

_Z = 1.959964  # standard errors on either side that hold 95 %


class Share(NamedTuple):
  """A fraction of positions with a 95 % interval."""

  hits: int
  total: int
  value: float  # hits / total; NaN where total is 0
  low: float
  high: float


def interval(counts: Int[np.ndarray, "examples"], totals: Int[np.ndarray, "examples"]) -> Share:
  """Returns sum counts / sum totals with Wilson's 95 % interval for examples as clusters; see `error`."""
  count, total = int(counts.sum()), int(totals.sum())
  if total == 0:
    return Share(count, total, math.nan, 0.0, 1.0)
  value, (trials, _) = count / total, _trials(counts, totals, consecutive=False)
  trials = float(total) if math.isnan(trials) else trials
  center = (value + _Z**2 / (2 * trials)) / (1 + _Z**2 / trials)
  half = _Z / (1 + _Z**2 / trials) * math.sqrt(value * (1 - value) / trials + _Z**2 / (4 * trials**2))
  return Share(count, total, value, max(0.0, center - half), min(1.0, center + half))


def error(
  counts: Real[np.ndarray, "examples"], totals: Real[np.ndarray, "examples"] | None = None, *, consecutive: bool = False
) -> float:
  """Returns the standard error of sum counts / sum totals over examples, which are clusters; more than 0.

  It is that of plus four, or that of the ratio between examples (`bounds.ratio_error`), whichever is larger. The number
  of trials is the total divided by the design effect: the variance of that ratio over the binomial one, at least 1, and
  1 where none or all were seen, since nothing tells it then. NaN of a single example, of fewer than
  `bounds.FEWEST_PIECES` pieces, and where the total is 0.

  Args:
    counts: of each example, how many were seen, from 0 to its total.
    totals: of how many, at least 0; default: of one each.
    consecutive: whether the examples are pieces of one stream, in its order.

  Example:
    >>> round(error(np.zeros(100)), 4)  # none of a hundred
    0.0135
  """
  totals = np.ones(len(counts)) if totals is None else totals
  trials, deviation = _trials(counts, totals, consecutive=consecutive)
  seen = (float(counts.sum()) / max(1.0, float(totals.sum())) * trials + 2) / (trials + 4)
  return max(deviation, math.sqrt(seen * (1 - seen) / (trials + 4)))


def error_of_mean(values: Float[np.ndarray, "n"], added: Sequence[float]) -> float:
  """Returns the standard error of the mean of values in [0, 1], or of differences in [-1, 1]; NaN of a single one.

  added: what is taken to have been seen besides: one 0 and one 1 of each of two sets that are compared; of differences
    of hits, each of -1, 0, 0 and 1 once.
  """
  if len(values) < 2:
    return math.nan
  return float(np.append(values, added).std() / math.sqrt(len(values) + len(added)))


def _trials(counts: np.ndarray, totals: np.ndarray, *, consecutive: bool) -> tuple[float, float]:
  """Returns how many independent trials the examples are worth, and the error of their ratio; see `error`."""
  some = totals > 0
  count, total = float(counts.sum()), float(totals.sum())
  residual = counts[some] - count / max(1.0, total) * totals[some]
  deviation = ratio_error(residual, max(1.0, total), consecutive=consecutive)
  if math.isnan(deviation):
    return math.nan, math.nan
  known = deviation > 0 and 0 < count < total
  return min(total, count / total * (1 - count / total) / deviation**2) if known else total, deviation
