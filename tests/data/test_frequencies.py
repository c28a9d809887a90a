"""How often categories occur in a split."""

import numpy as np

from catgen.batches import batch_of
from catgen.data import frequencies
from catgen.data.frequencies import frequencies_of
from catgen.data.splits import record_split


def test_each_category_counts_once_more_than_it_occurs_where_it_is_valid(monkeypatch):
  x, valid = np.array([[0, 1, 1], [3, 1, 2]], np.int32), np.array([[True] * 3, [True, False, False]])
  split = record_split(2, lambda numbers: batch_of(x[numbers], valid[numbers], index=numbers))
  assert frequencies_of(split, 4) == (2 / 8, 3 / 8, 1 / 8, 2 / 8)
  monkeypatch.setattr(frequencies, "_AT_ONCE", 1)
  assert frequencies_of(split, 4) == (2 / 8, 3 / 8, 1 / 8, 2 / 8)


def test_of_a_large_split_examples_are_read_that_are_spread_over_it(monkeypatch):
  read = []

  def examples(numbers):
    read.append(numbers.copy())
    return batch_of(np.zeros((len(numbers), 5), np.int32), index=numbers)

  monkeypatch.setattr(frequencies, "_MOST_POSITIONS", 20)
  frequencies_of(record_split(100, examples), 2)
  np.testing.assert_array_equal(np.concatenate(read)[1:], [0, 25, 50, 75])
