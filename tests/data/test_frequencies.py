"""How often categories occur in a split."""

import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.data import frequencies
from catgen.data.frequencies import frequencies_of, untrained
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


@pytest.mark.parametrize("at_once", [1, 100])
def test_categories_of_other_splits_that_no_valid_position_of_training_has_are_told(at_once, monkeypatch):
  def split(x, hidden=-1):
    x = np.array(x, np.int32)
    return record_split(len(x), lambda numbers: batch_of(x[numbers], x[numbers] != hidden))

  monkeypatch.setattr(frequencies, "_AT_ONCE", at_once)
  splits = {
    "train": split([[0, 3], [1, 0], [4, 1]], hidden=3),
    "validation": split([[3, 1]]),
    "test": split([[5, 2], [4, 0]]),
  }
  assert untrained(splits, 7) == (2, 3, 5)
  assert untrained({**splits, "test": split([[5, 0]], hidden=5)}, 7) == (3,)
  assert untrained({"train": splits["train"]}, 7) == untrained({"test": splits["test"]}, 7) == ()
