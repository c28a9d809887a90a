"""Legends: a name and a color for every category, those that are known by their names, no two alike by default."""

import re

import pytest

from catgen.data.legends import CATEGORIES, CLASSES, LABELS, distinct_color, make_legend
from catgen.interfaces import InputError


def test_the_classes_of_cityscapes_lie_in_its_categories():
  assert (len(LABELS), len(CATEGORIES.names), len(CATEGORIES.colors)) == (34, 8, 8)
  assert len(set(CLASSES.names)) == 34
  assert {label.category for label in LABELS} == set(range(8))
  assert all(re.fullmatch("#[0-9a-f]{6}", color) for color in CLASSES.colors + CATEGORIES.colors)
  categories = [label.category for label in LABELS]
  assert categories == sorted(categories)  # label ids run through the categories in order


def test_bits_of_a_number_are_dealt_to_red_green_and_blue():
  for number in range(256):
    channels = [0, 0, 0]
    for bit in range(8):
      channels[bit % 3] += (number >> bit & 1) << (7 - bit // 3)
    assert distinct_color(number) == "#{:02x}{:02x}{:02x}".format(*channels)


def test_default_colors_never_repeat():
  assert len({distinct_color(number) for number in range(5000)}) == 5000


@pytest.mark.parametrize("number", [1, 2, 8, 34, 300])
def test_a_legend_has_one_name_and_one_color_for_each(number):
  legend = make_legend(number)
  assert legend.names == tuple(str(i) for i in range(number))
  assert legend.colors == tuple(distinct_color(i) for i in range(number))


def test_known_names_bring_their_colors_wherever_they_stand():
  legend = make_legend(4, ("tree", "sky", "car", "vehicle"))
  assert legend.colors[1:] == ("#4682b4", "#00008e", "#00008e")
  assert legend.colors[0] == distinct_color(0)
  assert make_legend(2, ("Sky", " sky")).colors == (distinct_color(0), distinct_color(1))  # other names


def test_given_colors_stand_above_known_ones_and_may_be_written_either_way():
  colors = ("#ABCDEF", "#abcdef")
  assert make_legend(2, ("sky", "road"), colors) == (("sky", "road"), colors)


@pytest.mark.parametrize("color", ["red", "#fff", "#12345", "#1234567", "123456", "#12345g", "#123456 ", ""])
def test_a_color_that_is_none_is_named(color):
  with pytest.raises(InputError, match=rf"^color {re.escape(repr(color))} is not of the form #rrggbb; correct colors$"):
    make_legend(2, (), ("#000000", color))


@pytest.mark.parametrize(("names", "colors", "title"), [(("a",), (), "names"), ((), ("#000000",) * 4, "colors")])
def test_lists_of_another_length_are_named(names, colors, title):
  number = len(names or colors)
  with pytest.raises(InputError, match=f"^{title} has {number} entries for 3 categories; give one for each, or none$"):
    make_legend(3, names, colors)


@pytest.mark.parametrize("name", ["a\nb", "a\n", "a\r", "\u2028"])
def test_a_name_is_one_line(name):
  with pytest.raises(InputError, match="has a line break") as caught:
    make_legend(2, ("x", name))
  assert len(str(caught.value).splitlines()) == 1


def test_two_categories_have_no_name_in_common_and_one_without_a_name_has_its_number():
  with pytest.raises(InputError, match=r"^categories 0 and 2 have the name 'a'; name each apart, or make them one by"):
    make_legend(3, ("a", "b", "a"))
  assert make_legend(3, ("a", "", "c")).names == ("a", "1", "c")


def test_names_may_be_long_and_in_any_script():
  names = ("道路", "Himmel über dem Dach", "x" * 10_000)
  assert make_legend(3, names).names == names
