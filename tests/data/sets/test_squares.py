"""The toy set: what its description says of numbers, sides, places and categories."""

import numpy as np
import pytest

from catgen.data.sets.squares import squares
from catgen.interfaces import EventSpec, InputError


def maps(**keywords):
  source = squares(splits=(2000, 1, 1), **keywords)
  return source, source.splits["train"].examples(np.arange(2000)).x


def test_one_square_has_a_uniform_category_side_and_place():
  source, x = maps(shape=(12, 20), num_classes=5, num_squares=1)
  assert source.event == EventSpec((12, 20), 5)
  categories = x.max(axis=(1, 2))
  found = x > 0
  sides = found.any(axis=2).sum(axis=1)
  np.testing.assert_array_equal(found.any(axis=1).sum(axis=1), sides)
  np.testing.assert_array_equal(found.sum(axis=(1, 2)), sides**2)
  np.testing.assert_array_equal(np.where(found, categories[:, None, None], 0), x)
  for values, low, high in ((categories, 1, 4), (sides, 3, 6)):
    counts = np.bincount(values, minlength=high + 1)[low:]
    assert len(counts) == high - low + 1
    assert (np.abs(counts - 2000 / len(counts)) < 5 * np.sqrt(2000 / len(counts))).all()
  tops = found.any(axis=2).argmax(axis=1)[sides == 3]
  assert set(tops) == set(range(10))
  assert found[:, -1].any()
  assert found[:, :, -1].any()


def test_up_to_three_squares_lie_over_one_another():
  _, x = maps()
  num_categories = np.array([len(np.unique(one)) - 1 for one in x])
  assert set(num_categories) == {1, 2, 3}
  # one square in a third of the maps, and more of one category in some others
  assert 1 / 3 < (num_categories == 1).mean() < 0.6


def test_maps_depend_on_their_number_alone():
  source, x = maps(seed=3)
  some = np.array([5, 1999, 0])
  np.testing.assert_array_equal(source.splits["train"].examples(some).x, x[some])
  assert not np.array_equal(maps(seed=4)[1], x)


@pytest.mark.parametrize(
  ("keywords", "message"),
  [
    ({"shape": (3, 8)}, r"shape \(3, 8\) must be"),
    ({"num_classes": 1}, "num_classes is 1"),
    ({"num_squares": 0}, "num_squares 0"),
    ({"splits": (-1, 3, 3)}, "three whole counts"),
  ],
)
def test_impossible_requests_are_refused(keywords, message):
  with pytest.raises(InputError, match=message):
    squares(**keywords)
