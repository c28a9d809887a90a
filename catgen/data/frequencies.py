"""How often each category occurs in a split, for models that ask for it, and which ones training never sees."""

from collections.abc import Iterator, Mapping

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


def untrained(splits: Mapping[str, Split], num_classes: int) -> tuple[int, ...]:
  """Returns the categories, ascending, that occur in other splits and in no example of the training split.

  The training split is read until all are found, which is soon where there are none.
  """
  missing = np.zeros(num_classes, bool)
  if "train" not in splits:
    return ()
  for name in splits.keys() - {"train"}:
    for batch in spread_batches(splits[name], whole=True):
      missing[batch.x[batch.valid]] = True
  for batch in spread_batches(splits["train"], whole=True):
    if not missing.any():
      break
    missing[batch.x[batch.valid]] = False
  return tuple(np.flatnonzero(missing).tolist())


def spread_batches(split: Split, *, whole: bool = False) -> Iterator[Batch]:
  """Yields examples that are spread evenly over a split, as many as are counted, or all, some at a time."""
  if not split.num_examples:
    return
  size = split.examples(np.arange(1)).x[0].size
  number = split.num_examples if whole else min(split.num_examples, max(1, _MOST_POSITIONS // size))
  numbers = np.arange(number) * split.num_examples // number
  for start in range(0, number, max(1, _AT_ONCE // size)):
    yield split.examples(numbers[start : start + max(1, _AT_ONCE // size)])
