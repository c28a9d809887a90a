"""Sets as sequences in any order, whose best likelihood is known exactly: permutations, and numbers with a given sum.

The toys of CategoricalNF (Lippe and Gavves, 2021, arXiv:2006.09790): an order is no information, but a model has to
know which elements are still missing.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64, Int, UInt8

from catgen.bounds import bits_per_position
from catgen.data.label_ids import LabelIds
from catgen.data.pipeline import SETS
from catgen.data.procedural import uniforms, value_source
from catgen.interfaces import EventSpec, InputError
from catgen.sources import DataSource

TASKS = ("shuffling", "summation")
Numbers = Int[np.ndarray, "n"]


def sets(
  task: str = "shuffling",
  size: int = 16,
  total: int = 42,
  splits: Sequence[float | int] = (10_000_000, 32_768, 32_768),
  seed: int = 0,
) -> DataSource:
  """Returns rows of `size` numbers from 1 to `size`, all rows of the task equally likely, each made when it is read.

  Args:
    task: "shuffling": the rows in which every number occurs once. "summation": those whose sum is `total`.
    size: of a row, and of the alphabet, 2 to 256.
    total: of a row of summation, size to size^2; unused with shuffling.
    splits: how many rows train, validation and test have.
    seed: at least 0; another seed gives other rows.

  No model needs less than the entropy: 2.7656 bits per value by default, and 2.2427 with summation.
  """
  number = number_of_rows(task, size, total)
  draw = _shuffled if task == "shuffling" else _summed(size, total)

  def compute(numbers: Numbers) -> UInt8[np.ndarray, "n size"]:
    return draw(uniforms(SETS, seed, numbers, size)).astype(np.uint8)

  what = f"permutations of {size}" if task == "shuffling" else f"{size} numbers from 1 to {size} with sum {total}"
  return value_source(
    compute,
    EventSpec((size,), size),
    splits=splits,
    labels=LabelIds(np.arange(1, size + 1)),
    description=f"{what} from seed {seed}, entropy {bits_per_position(math.log(number), size):.4f} bits per value",
  )


def number_of_rows(task: str, size: int, total: int) -> int:
  """Returns how many rows there are; log of it is the entropy of a row in nats.

  Raises:
    InputError: an unknown task, or sizes that no row has.

  Example:
    >>> number_of_rows("summation", 16, 42), number_of_rows("shuffling", 16, 42)
    (63379974736, 20922789888000)
  """
  if task not in TASKS:
    raise InputError(f"task {task!r} is unknown; choose {' or '.join(TASKS)}")
  if not 2 <= size <= 256:
    raise InputError(f"size is {size}; it must be 2 to 256")
  if task == "shuffling":
    return math.factorial(size)
  if not size <= total <= size**2:
    raise InputError(f"total is {total}; {size} numbers from 1 to {size} have sums from {size} to {size**2}")
  return _counts(size, total)[size][total]


def _shuffled(draws: Float64[np.ndarray, "n size"]) -> Int[np.ndarray, "n size"]:
  return np.argsort(draws, axis=1, kind="stable")


def _summed(size: int, total: int) -> Callable[[Float64[np.ndarray, "n size"]], Int[np.ndarray, "n size"]]:
  """Returns uniform numbers -> rows with the sum: each value has the share of the rows that begin so."""
  counts = _counts(size, total)
  cumulative = np.ones((size, total + 1, size))  # by how many values follow, what sum is left, and the value
  for following in range(size):
    for left in range(1, total + 1):
      whole, so_far = counts[following + 1][left], 0
      for value in range(1, min(size, left) + 1) if whole else ():
        so_far += counts[following][left - value]
        cumulative[following, left, value - 1] = so_far / whole

  def draw(draws: Float64[np.ndarray, "n size"]) -> Int[np.ndarray, "n size"]:
    left, columns = np.full(len(draws), total), []
    for place in range(size):
      below = draws[:, place, None] >= cumulative[size - 1 - place, left, :-1]
      columns.append(below.sum(axis=1))
      left = left - columns[-1] - 1
    return np.stack(columns, axis=1)

  return draw


def _counts(size: int, total: int) -> list[list[int]]:
  """Returns how many rows of n numbers from 1 to `size` have the sum s, by n up to `size` and s up to `total`."""
  counts = [[int(s == 0) for s in range(total + 1)]]
  for _ in range(size):
    before = counts[-1]
    counts.append([sum(before[max(0, s - size) : s]) for s in range(total + 1)])
  return counts
