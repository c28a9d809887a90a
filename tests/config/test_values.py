"""Values of keys as a file has them and as a command line writes them, and one line for each that does not fit."""

import inspect
import json
import pathlib
import re
from collections.abc import Sequence

import numpy as np
import pytest

from catgen.config.values import checked, parsed, plain
from catgen.interfaces import InputError


def parameter(annotation, default=inspect.Parameter.empty):
  return inspect.Parameter("key", inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


@pytest.mark.parametrize(
  ("text", "annotation", "value"),
  [
    ("10_000", int, 10_000),
    ("3e-4", float, 3e-4),
    ("2", float, 2.0),
    ("true", bool, True),
    ("False", bool, False),
    ("3", str, "3"),
    ("None", int | None, None),
    ("7", int | None, 7),
    ("None", str, "None"),
    ("(32, 64)", Sequence[int], [32, 64]),
    ("[32,64]", Sequence[int], [32, 64]),
    ("32,64", Sequence[int] | None, [32, 64]),
    ("()", Sequence[str], []),
    ("road, 'sky'", Sequence[str], ["road", "sky"]),
    ("0.9,0.05,0.05", Sequence[float | int], [0.9, 0.05, 0.05]),
    ("900,50,50", Sequence[float | int], [900, 50, 50]),
    ("((0, 1, 0.5), [1, 2, 2])", Sequence[Sequence[float | int]], [[0, 1, 0.5], [1, 2, 2]]),
  ],
)
def test_texts_mean_values_of_the_keys_type(text, annotation, value):
  found = parsed(text, parameter(annotation), "a.key")
  assert found == value
  assert [type(each) for each in (found if isinstance(found, list) else [found])] == [
    type(each) for each in (value if isinstance(value, list) else [value])
  ]


@pytest.mark.parametrize(
  ("text", "annotation", "needed"),
  [
    ("abc", int, "a whole number is needed"),
    ("1.5", int, "a whole number is needed"),
    ("abc", float, "a number is needed"),
    ("maybe", bool, "True or False is needed"),
    ("abc", int | None, "a whole number or None is needed"),
    ("32,x", Sequence[int], "a list of whole numbers is needed"),
    ("a,b", Sequence[float | int], "a list of numbers is needed"),
    ("1,2", Sequence[Sequence[float | int]], "a list of lists of numbers is needed"),
    ("1,[", tuple[tuple[int, ...], ...], "a list of lists of whole numbers is needed"),
  ],
)
def test_texts_of_another_type_are_refused(text, annotation, needed):
  with pytest.raises(InputError, match=rf"^config\.training\.num_steps is '{re.escape(text)}'; {needed}$"):
    parsed(text, parameter(annotation), "training.num_steps")


@pytest.mark.parametrize(
  ("value", "annotation", "fits"),
  [
    (3, int, True),
    (3, float, True),
    (True, bool, True),
    ((1, 2), Sequence[int], True),
    ([], Sequence[str], True),
    (None, int | None, True),
    ("a", str | None, True),
    (np.int64(3), int, True),
    (np.float32(0.5), float, True),
    (np.array([1, 2]), Sequence[int], True),
    ((np.int32(1), 2), Sequence[int], True),
    (np.float32(2), int, False),
    (3.0, int, False),
    (True, int, False),
    (True, float, False),
    (1, bool, False),
    ("3", int, False),
    (None, int, False),
    ("abc", Sequence[str], False),
    ((1, 2.5), Sequence[int], False),
  ],
)
def test_values_of_files_are_checked(value, annotation, fits):
  key = parameter(annotation, default=None if type(None) in getattr(annotation, "__args__", ()) else 0)
  if fits:
    found = checked(value, key, "a")
    assert json.loads(json.dumps(found)) == (value.tolist() if isinstance(value, np.ndarray) else plain(value))
  else:
    with pytest.raises(InputError, match=r"config\.a is .* is needed"):
      checked(value, key, "a")


def test_a_path_is_a_text():
  assert checked(pathlib.Path("a.txt"), parameter(str), "data.path") == "a.txt"


def test_a_required_value_may_be_missing_for_now():
  assert checked(None, parameter(str), "data.path") is None


def test_plain_values_are_those_of_json():
  assert plain({"a": (1, (2, 3)), "b": {"c": "d"}}) == {"a": [1, [2, 3]], "b": {"c": "d"}}


VALUES = [(0, int), (7, float), (-7, int), (3e-4, float), (1e300, float), (0.0, float), (True, bool), (False, bool)]
VALUES += [("a b", str), ("é東", str), ("", str), (None, int | None), (5, int | None), ([1, 2], Sequence[int])]
VALUES += [([], Sequence[float]), ([0.5, 2.0], Sequence[float]), (["a", "b c"], Sequence[str])]
VALUES += [([1, 0.5], Sequence[float | int])]


@pytest.mark.parametrize(("value", "annotation"), VALUES, ids=str)
def test_a_value_survives_its_way_through_a_command_line_and_through_json(value, annotation):
  key = parameter(annotation, default=None if value is None else 0)
  text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
  assert parsed(text, key, "a") == value
  assert checked(json.loads(json.dumps(value)), key, "a") == value
  assert checked(checked(value, key, "a"), key, "a") == value


@pytest.mark.parametrize("text", ["32,64", "(32,64)", "[32, 64]", " ( 32 , 64 ) ", "32,64,", "'32','64'"])
def test_a_list_is_the_same_in_every_spelling(text):
  assert parsed(text, parameter(Sequence[int]), "a") == [32, 64]


@pytest.mark.parametrize("text", ["none", "None", "NONE"])
def test_none_is_a_word_only_where_a_key_may_be_none(text):
  assert parsed(text, parameter(int | None), "a") is None
  assert parsed(text, parameter(str), "a") == text
  with pytest.raises(InputError, match="a whole number is needed"):
    parsed(text, parameter(int), "a")


@pytest.mark.parametrize("text", ["1", "yes", "TRUE", "True"])
def test_truth_has_several_words(text):
  assert parsed(text, parameter(bool), "a") is True


@pytest.mark.parametrize("text", ["", "2", "on", "t", "truth"])
def test_other_words_are_no_truth(text):
  with pytest.raises(InputError, match=rf"^config\.a is '{text}'; True or False is needed$"):
    parsed(text, parameter(bool), "a")
