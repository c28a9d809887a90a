"""Fields of what is sent as JSON: one description of each, for the OpenAPI document and for the check alike."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from catgen.interfaces import InputError

_NAMES = {"integer": "a whole number", "number": "a number", "string": "a text", "boolean": "true or false"}
_NAMES |= {"array": "a list", "object": "an object"}
_SHOWN = 40  # characters of a wrong value


class Field(NamedTuple):
  """One key of an object."""

  schema: Mapping[str, Any]  # JSON Schema: type, enum, minimum, maximum, maxLength, minItems, maxItems, items, anyOf
  meaning: str
  default: Any = None
  required: bool = False


Fields = Mapping[str, Field]


def integer(least: int, most: int) -> dict[str, Any]:
  """Returns the schema of whole numbers from one to another, both included."""
  return {"type": "integer", "minimum": least, "maximum": most}


def choice(kind: str, *values: Any) -> dict[str, Any]:
  """Returns the schema of one of some values."""
  return {"type": kind, "enum": list(values)}


def text(most: int) -> dict[str, Any]:
  """Returns the schema of texts of at most so many characters."""
  return {"type": "string", "maxLength": most}


def several(items: Mapping[str, Any], least: int, most: int) -> dict[str, Any]:
  """Returns the schema of lists of so many items."""
  return {"type": "array", "items": dict(items), "minItems": least, "maxItems": most}


def object_schema(fields: Fields) -> dict[str, Any]:
  """Returns the schema of an object with these keys and no others."""
  described = {}
  for name, field in fields.items():
    default = {} if field.default is None else {"default": field.default}
    described[name] = {**field.schema, "description": field.meaning, **default}
  required = [name for name, field in fields.items() if field.required]
  return {
    "type": "object",
    "properties": described,
    "additionalProperties": False,
    **({"required": required} if required else {}),
  }


def checked(fields: Fields, body: Any) -> dict[str, Any]:
  """Returns the values of all fields: those that are sent, or the defaults; null is as if it were not sent.

  Raises:
    InputError: a key that is unknown or lacking, or a value that is none, with the key and what may stand there.

  Example:
    >>> checked({"n": Field(integer(1, 4), "how many", 2)}, {})
    {'n': 2}
  """
  if not isinstance(body, dict):
    raise InputError(f"an object is needed, with the keys {', '.join(fields)}")
  if unknown := [key for key in body if key not in fields]:
    raise InputError(f"there is no key {_shown(unknown[0])}; the keys are {', '.join(fields)}")
  found = {}
  for name, field in fields.items():
    value = body.get(name)
    if value is None:
      if field.required:
        raise InputError(f"{name} is missing: {field.meaning}")
      found[name] = field.default
      continue
    _check(name, field.schema, value)
    found[name] = value
  return found


def _check(name: str, schema: Mapping[str, Any], value: Any) -> None:
  if "anyOf" in schema:
    kinds = [each["type"] for each in schema["anyOf"]]
    for each in schema["anyOf"]:
      if _is(each["type"], value):
        return _check(name, each, value)
    raise InputError(f"{name} is {_shown(value)}; give {' or '.join(_NAMES[kind] for kind in kinds)}")
  kind = schema.get("type")
  if kind is not None and not _is(kind, value):
    raise InputError(f"{name} is {_shown(value)}; give {_NAMES[kind]}")
  if "enum" in schema and value not in schema["enum"]:
    raise InputError(f"{name} is {_shown(value)}; give one of {', '.join(map(str, schema['enum']))}")
  least, most = schema.get("minimum"), schema.get("maximum")
  if (least is not None and value < least) or (most is not None and value > most):
    raise InputError(f"{name} is {_shown(value)}; give {least} to {most}")
  if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
    raise InputError(f"{name} has {len(value):,} characters; give at most {schema['maxLength']:,}")
  if isinstance(value, list):
    _check_list(name, schema, value)
  return None


def _check_list(name: str, schema: Mapping[str, Any], value: Sequence[Any]) -> None:
  if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
    raise InputError(f"{name} has {len(value):,} entries; give {schema.get('minItems', 0)} to {schema['maxItems']:,}")
  for number, each in enumerate(value):
    if "items" in schema:
      _check(f"{name}[{number}]", schema["items"], each)


def _is(kind: str, value: Any) -> bool:
  """Returns whether a value of JSON is of a type; true and false are no numbers, nor are NaN and infinities."""
  if kind == "number":
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
  if kind == "integer":
    return isinstance(value, int) and not isinstance(value, bool)
  types: dict[str, type] = {"string": str, "boolean": bool, "array": list, "object": dict}
  return isinstance(value, types[kind])


def _shown(value: Any) -> str:
  shown = repr(value)
  return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
