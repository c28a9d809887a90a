"""Values of keys as a file has them and as a command line writes them, and one line for each that does not fit."""

import inspect
from collections.abc import Sequence

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
  ],
)
def test_texts_of_another_type_are_refused(text, annotation, needed):
  with pytest.raises(InputError, match=rf"^config\.training\.num_steps is '{text}'; {needed}$"):
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
    assert checked(value, key, "a") == plain(value)
  else:
    with pytest.raises(InputError, match=r"config\.a is .* is needed"):
      checked(value, key, "a")


def test_a_required_value_may_be_missing_for_now():
  assert checked(None, parameter(str), "data.path") is None


def test_plain_values_are_those_of_json():
  assert plain({"a": (1, (2, 3)), "b": {"c": "d"}}) == {"a": [1, [2, 3]], "b": {"c": "d"}}
