"""Shuffling and summation: how many rows there are by listing them, and that all of them are equally likely."""

import itertools

import numpy as np
import pytest
import scipy.stats

from catgen.bounds import bits_per_position
from catgen.data.sets.sets import number_of_rows, sets
from catgen.interfaces import EventSpec, InputError


def listed(task, size, total):
  if task == "shuffling":
    return list(itertools.permutations(range(size)))
  every = itertools.product(range(size), repeat=size)
  return [row for row in every if sum(row) + size == total]


@pytest.mark.parametrize(
  ("task", "size", "total"), [("shuffling", 4, 4), ("summation", 4, 9), ("summation", 4, 16), ("summation", 2, 2)]
)
def test_rows_are_those_of_a_list_and_equally_likely(task, size, total):
  rows = listed(task, size, total)
  assert number_of_rows(task, size, total) == len(rows)
  source = sets(task, size, total, splits=(200 * len(rows), 1, 1))
  assert source.event == EventSpec((size,), size)
  x = source.splits["train"].examples(np.arange(200 * len(rows))).x
  places = {row: i for i, row in enumerate(rows)}
  counts = np.bincount([places[tuple(row)] for row in x.tolist()], minlength=len(rows))
  assert len(rows) == 1 or scipy.stats.chisquare(counts).pvalue > 1e-3


def test_the_optima_are_the_known_ones():
  found = [bits_per_position(np.log(float(number_of_rows(task, 16, 42))), 16) for task in ("shuffling", "summation")]
  np.testing.assert_allclose(found, [2.7656, 2.2427], atol=5e-5)


def test_rows_of_the_paper_are_permutations_and_have_the_sum():
  shuffled, summed = (sets(task).splits["test"].examples(np.arange(200)).x for task in ("shuffling", "summation"))
  np.testing.assert_array_equal(np.sort(shuffled, axis=1), np.broadcast_to(np.arange(16), (200, 16)))
  np.testing.assert_array_equal(summed.sum(axis=1) + 16, 42)


def test_arrays_hold_the_numbers_themselves_and_a_row_depends_on_its_number_alone():
  source = sets("summation", splits=(20, 5, 5))
  x = source.splits["train"].examples(np.arange(20)).x
  shown = source.codec.decode(x[7])
  assert shown.sum() == 42
  np.testing.assert_array_equal(source.codec.encode(shown), x[7])
  np.testing.assert_array_equal(source.splits["train"].examples(np.array([7, 2])).x, x[[7, 2]])


@pytest.mark.parametrize(
  ("keywords", "message"),
  [
    ({"task": "sorting"}, "task 'sorting' is unknown; choose shuffling or summation"),
    ({"size": 1}, "size is 1; it must be 2 to 256"),
    ({"task": "summation", "total": 15}, "total is 15; 16 numbers from 1 to 16 have sums from 16 to 256"),
    ({"task": "summation", "total": 257}, "total is 257"),
    ({"splits": (0.5, 0.5, 0)}, "three whole counts of rows"),
  ],
)
def test_impossible_requests_are_refused(keywords, message):
  with pytest.raises(InputError, match=message):
    sets(**keywords)
