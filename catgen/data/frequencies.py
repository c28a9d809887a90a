"""How often each category occurs in a split, for models that ask for it."""

from collections.abc import Iterator

import numpy as np

from catgen.interfaces import Batch
from catgen.sources import Split

_MOST_POSITIONS = 20_000_000  # that are read, spread evenly over the split
_AT_ONCE = 1_000_000


def frequencies_of(split: Split, num_classes: int) -> tuple[float, ...]:
  """Returns the frequencies of the K categories in a split, each counted once more than it occurs; they sum to one.

  It reads the same examples in the same order wherever it is called, so that every process finds the same numbers.
  Positions that are not valid count for nothing.
  """
  counts = np.ones(num_classes, np.int64)
  for batch in spread_batches(split):
    counts += np.bincount(np.asarray(batch.x)[np.asarray(batch.valid)], minlength=num_classes)
  return tuple((counts / counts.sum()).tolist())


def spread_batches(split: Split) -> Iterator[Batch]:
  """Yields examples that are spread evenly over a split, as many as are counted, some at a time."""
  size = split.examples(np.arange(1)).x[0].size
  number = min(split.num_examples, max(1, _MOST_POSITIONS // size))
  numbers = np.arange(number) * split.num_examples // number
  for start in range(0, number, max(1, _AT_ONCE // size)):
    yield split.examples(numbers[start : start + max(1, _AT_ONCE // size)])
