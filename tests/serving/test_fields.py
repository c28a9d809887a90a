"""Fields of JSON: one description checks and is shown."""

import math

import pytest

from catgen.interfaces import InputError
from catgen.serving.fields import Field, checked, choice, integer, object_schema, several, text

FIELDS = {
  "count": Field(integer(1, 4), "how many", 2),
  "heat": Field(choice("number", 0, 0.5, 1), "how warm"),
  "lines": Field(several(text(5), 1, 3), "what", required=True),
  "any": Field({"anyOf": [text(3), {"type": "array"}, {"type": "object"}]}, "anything"),
  "flag": Field({"type": "boolean"}, "whether", False),
}
WRONG = {
  "no object": ([], "an object is needed, with the keys count, heat"),
  "unknown": ({"lines": ["a"], "cuont": 1}, "there is no key 'cuont'; the keys are count"),
  "missing": ({}, "lines is missing: what"),
  "null": ({"lines": None}, "lines is missing"),
  "too few": ({"lines": []}, "lines has 0 entries; give 1 to 3"),
  "too many": ({"lines": ["a"] * 4}, "lines has 4 entries; give 1 to 3"),
  "too long": ({"lines": ["a", "abcdef"]}, r"lines\[1\] has 6 characters; give at most 5"),
  "no text": ({"lines": [3]}, r"lines\[0\] is 3; give a text"),
  "truth for a number": ({"lines": ["a"], "count": True}, "count is True; give a whole number"),
  "fraction": ({"lines": ["a"], "count": 1.5}, "count is 1.5; give a whole number"),
  "below": ({"lines": ["a"], "count": 0}, "count is 0; give 1 to 4"),
  "beyond": ({"lines": ["a"], "count": 10**30}, "give 1 to 4"),
  "not one of them": ({"lines": ["a"], "heat": 0.7}, "heat is 0.7; give one of 0, 0.5, 1"),
  "NaN": ({"lines": ["a"], "heat": math.nan}, "heat is nan; give a number"),
  "none of several kinds": ({"lines": ["a"], "any": 3}, "any is 3; give a text or a list or an object"),
  "one of several kinds, too long": ({"lines": ["a"], "any": "abcd"}, "any has 4 characters"),
  "long value": ({"lines": ["a"], "count": "x" * 500}, r"count is 'x{39}\.\.\.; give a whole number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_one_line_with_the_key(name):
  body, line = WRONG[name]
  with pytest.raises(InputError, match=line) as found:
    checked(FIELDS, body)
  assert "\n" not in str(found.value)
  assert len(str(found.value)) < 200


def test_defaults_take_the_place_of_what_is_not_sent():
  found = checked(FIELDS, {"lines": ["a"], "heat": None, "any": {"x": 1}})
  assert found == {"count": 2, "heat": None, "lines": ["a"], "any": {"x": 1}, "flag": False}


def test_the_schema_says_the_same():
  schema = object_schema(FIELDS)
  assert schema["required"] == ["lines"]
  assert schema["additionalProperties"] is False
  assert schema["properties"]["count"] == {
    "type": "integer", "minimum": 1, "maximum": 4, "description": "how many", "default": 2,
  }  # fmt: skip
  assert schema["properties"]["heat"]["enum"] == [0, 0.5, 1]
