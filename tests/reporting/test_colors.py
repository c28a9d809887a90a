"""Colors: every category has its own, what has none is a checkerboard, and pictures of pictures stay what they were."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catgen.interfaces import InputError
from catgen.reporting.colors import BLANK, colored, is_blank, legend_or_numbers, rgb
from catgen.sources import Legend


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_a_color_is_its_three_bytes_in_any_spelling(channels):
  spelled = "#{:02x}{:02x}{:02x}".format(*channels)
  assert rgb(spelled) == rgb(spelled.upper()) == rgb(spelled[1:]) == channels


@pytest.mark.parametrize("color", ["", "#", "#12345", "#1234567", "#12345678", "#fff", "red", "#12 45g", "##123456"])
def test_what_is_no_color_is_named(color):
  with pytest.raises(InputError, match='of the legend is not of the form "#rrggbb"') as caught:
    rgb(color)
  assert repr(color) in str(caught.value)


@pytest.mark.parametrize("number", [1, 2, 3, 8, 9, 256, 300])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("shape", [(0, 2, 3), (1, 1), (4, 5), (2, 3, 4, 5)])
def test_every_pixel_has_the_color_of_its_category(number, dtype, shape):
  legend = legend_or_numbers(None, number)
  x = np.random.default_rng(0).integers(0, number, shape).astype(dtype)
  found = colored(x, legend)
  assert (found.shape, found.dtype) == ((*shape, 3), np.uint8)
  assert [tuple(pixel) for pixel in found.reshape(-1, 3)] == [rgb(legend.colors[i]) for i in x.ravel()]


@pytest.mark.parametrize("value", [-1, -2, 3, 4, 2**31 - 1, -(2**31)])
def test_whatever_is_no_category_is_a_checkerboard_that_starts_alike_in_every_map(value):
  legend = Legend(("a", "b", "c"), ("#000000", "#ff0000", "#00ff00"))
  x = np.zeros((2, 4, 5), np.int64)
  x[:, 1:, 2:] = value
  np.testing.assert_array_equal(is_blank(x, legend), x == value)
  found = colored(x, legend)
  for i, j in np.argwhere(x[0] == value):
    assert [tuple(each[i, j]) for each in found] == [rgb(BLANK[(i + j) % 2])] * 2
  assert (found[x == 0] == 0).all()


def test_a_color_that_two_categories_share_is_allowed_and_names_may_be_anything():
  legend = Legend(("Straße", "x" * 1000), ("#123456", "#123456"))
  assert (colored(np.array([[0, 1]]), legend) == rgb("#123456")).all()
  assert legend_or_numbers(legend, 99) is legend
