"""Noise that moves a category to those beside it, by rates of pairs that are given or counted in the training data.

The processes are those of `ordinal`, of any symmetric generator: of label maps, whose categories stand in no row,
neighbors are those that touch.
"""

from typing import NoReturn

import numpy as np
from jaxtyping import Float64

from catgen.interfaces import InputError
from catgen.processes import ordinal
from catgen.processes.process import Process

_SLOWEST = 1e5  # times that a category may be left faster than the slowest difference dies out: rounding


def pairs(num_classes: int, /, *, rates: tuple[tuple[int | float, ...], ...]) -> Process:
  """Returns the process that moves categories to others, 2 <= K <= 256, by rates of pairs.

  Args:
    rates: of each pair (a, b, rate), categories by their numbers and a rate >= 0 of moving from a to b, and as fast
      back; pairs that are not named have 0. Only their ratios matter.

  Raises:
    InputError: a number that is no category or no rate, a pair with two rates, or categories that no moves connect.
  """
  ordinal.check_classes("pairs", num_classes)
  matrix = np.full((num_classes, num_classes), np.nan)
  for pair in rates:
    if len(pair) != 3:
      _refuse("pairs", f"{pair} is no pair: give two categories and a rate")
    a, b, rate = pair
    if not (a in range(num_classes) and b in range(num_classes) and a != b):
      _refuse("pairs", f"{a:g} and {b:g} are no pair of two of the categories 0 to {num_classes - 1}")
    if not 0 <= rate < np.inf:
      _refuse("pairs", f"the rate of {a:g} and {b:g} is {rate}; it must be a number from 0 on")
    before = matrix[int(a), int(b)]
    if not np.isnan(before) and before != rate:
      _refuse("pairs", f"{a:g} and {b:g} have the rates {before:g} and {rate:g}: they must be as fast there as back")
    matrix[int(a), int(b)] = matrix[int(b), int(a)] = rate
  return of_rates("pairs", np.nan_to_num(matrix))


def neighbors(num_classes: int, touching: tuple[float, ...] | None, /) -> Process:
  """Returns the process that moves categories to those that they touch in the training data, 2 <= K <= 256.

  The rate of a and b is n_ab / sqrt(n_a n_b), with n_ab how often they touch and n_a how often a touches another
  category: so a rare category is left about as fast as a frequent one.

  Raises:
    InputError: `EventSpec.touching` is not known.
  """
  ordinal.check_classes("neighbors", num_classes)
  if touching is None:
    _refuse(
      "neighbors",
      "it needs how often categories touch, which a run takes from its training split: EventSpec.touching is None; use"
      " process 'pairs' with a list of rates where there is no run",
    )
  matrix = np.zeros((num_classes, num_classes))
  matrix[np.triu_indices(num_classes, 1)] = touching
  matrix += matrix.T
  each = matrix.sum(axis=1)
  return of_rates("neighbors", matrix / np.sqrt(np.outer(each, each)))


def of_rates(name: str, rates: Float64[np.ndarray, "classes classes"]) -> Process:
  """Returns the process of a symmetric matrix of rates between categories, its diagonal 0.

  Args:
    name: of the process, for messages.
    rates: from each category to each.

  Raises:
    InputError: it is not symmetric, a rate is negative or no number, or no moves connect all categories, or hardly any.
  """
  if not (np.isfinite(rates) & (rates >= 0)).all():
    _refuse(name, "a rate is not a number from 0 on")
  if not np.array_equal(rates, rates.T):
    a, b = np.argwhere(rates != rates.T)[0]
    _refuse(name, f"{a} and {b} have the rates {rates[a, b]:g} and {rates[b, a]:g}: they must be as fast there as back")
  reached = np.arange(len(rates)) == 0
  for _ in rates:
    reached |= (rates[reached] > 0).any(axis=0)
  if not reached.all():
    _refuse(name, f"no moves lead from category 0 to {np.flatnonzero(~reached)[0]}; give rates that connect all")
  kernel = ordinal.kernel_of(rates)
  if kernel.rates.sum(-1).max() > _SLOWEST:
    _refuse(name, f"the rates hardly connect all categories: the largest may be {_SLOWEST:g} times what mixes them")
  return ordinal.of_kernel(kernel)


def _refuse(name: str, reason: str) -> NoReturn:
  raise InputError(f"process {name!r}: {reason}")
