"""What a config.json must hold, checked at the door: what a hand has changed is one line with the file and the key."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from catgen.config import resolve
from catgen.config.plugins import PluginError
from catgen.data import from_spec
from catgen.data.splits import INTEGERS_ALONE
from catgen.files import from_json, read_bytes
from catgen.given import sizes_of
from catgen.interfaces import EventSpec, InputError
from catgen.paths import join, size_of
from catgen.sources import Attribute

FILE_NAME = "config.json"
FORMAT = 3  # of config.json and of the names of parameters; 1 had no number, 2 no changes and no lineage
READABLE = (2, 3)
LARGEST = 2**28  # bytes; a record with a tokenizer has some millions
_TEXTS = ("position", "fingerprint", "description", "code_version")


class Exported(NamedTuple):
  """What the record of an exported model says besides: which parameters of a run they are, and how they are stored."""

  format: int  # of the folder, see docs/MODELS.md
  catgen: str  # the version that wrote it
  step: int
  averaged: bool  # the moving average of the parameters
  dtype: str  # of the matrices in the file: "float32" or "bfloat16"
  num_parameters: int
  training_seconds: float  # that its steps took; 0 = unknown


def read_content(workdir: str) -> dict[str, Any]:
  """Returns the checked content of a work directory's record, with all keys of this version.

  `config` is resolved: a key that the record lacks has the default that it had when there was no such key. `event`,
  `codec` and `attributes` are objects.

  Raises:
    InputError: there is none, it is of a format that is not read, or a part of it is not what it must be.
  """
  path = join(workdir, FILE_NAME)
  content = _parsed(path, workdir)
  try:
    return _checked(content)
  except PluginError:
    raise
  except InputError as error:
    raise InputError(
      f"{path} cannot be read: {error}; restore it, or train in another work directory from its checkpoints by "
      "--init_from"
    ) from error


def _parsed(path: str, workdir: str) -> dict[str, Any]:
  damaged = "restore it or train in another work directory"
  try:
    if size_of(path) > LARGEST:
      raise InputError(f"{path} cannot be read (it has more than {LARGEST:,} bytes); {damaged}")
    content = from_json(read_bytes(path).decode())
  except (FileNotFoundError, NotADirectoryError) as error:
    raise InputError(f"{workdir} holds no run (no {FILE_NAME}); train one there first, or correct --workdir") from error
  except InputError:
    raise
  except (OSError, ValueError) as error:
    raise InputError(f"{path} cannot be read ({error}); {damaged}") from error
  if not isinstance(content, dict):
    raise InputError(f"{path} cannot be read (it is no JSON object); {damaged}")
  found = content.get("format", 1)
  if found not in READABLE or isinstance(found, bool):
    raise InputError(
      f"{path} has format {found}, this version of catgen reads {READABLE[0]} to {READABLE[-1]}: use the version that "
      f"wrote it ({content.get('code_version', 'unknown')}), or train again in another work directory"
    )
  return content


def _checked(content: Mapping[str, Any]) -> dict[str, Any]:
  config, event, codec = (_object(content, name) for name in ("config", "event", "codec"))
  checked: dict[str, Any] = {name: _text(content, name) for name in _TEXTS}
  size = content.get("bytes_per_position")
  if size is not None and (isinstance(size, bool) or not isinstance(size, int | float) or not size > 0):
    raise InputError(f"bytes_per_position is {_shown(size)}; a number > 0 or null is needed")
  return checked | {
    "bytes_per_position": size,
    "config": _config(config),
    "event": event_of(event),
    "codec": _codec(codec),
    "attributes": _attributes(content),
    "changes": _objects(content, "changes", ("step", "key", "before", "after")),
    "lineage": _objects(content, "lineage", ("how", "workdir", "step")),
    "longest": _longest(content),
    "started_in": _text(content, "started_in") if "started_in" in content else "",
    "exported": None if content.get("exported") is None else _exported(_object(content, "exported")),
  }


def _exported(found: Mapping[str, Any]) -> Exported:
  for name, kind in Exported.__annotations__.items():
    if type(found.get(name)) is not kind:
      raise InputError(f"exported.{name} is {_shown(found.get(name))}; a value of type {kind.__name__} is needed")
  return Exported(**{name: found[name] for name in Exported._fields})


def _longest(content: Mapping[str, Any]) -> int | None:
  longest = content.get("longest")
  if longest is not None and (type(longest) is not int or longest < 1):
    raise InputError(f"longest is {_shown(longest)}; a whole number > 0 or null is needed")
  return longest


def _config(config: dict[str, Any]) -> dict[str, Any]:
  try:
    resolved = resolve({key: _of_today(value) if key == "model" else value for key, value in config.items()})
  except RecursionError as error:
    raise InputError("config is nested too deeply") from error
  if "split_rule" in resolved["data"] and "split_rule" not in config["data"]:
    # Tables had one rule until there was the key; others had one of those of their time, see `source_of`.
    resolved["data"]["split_rule"] = INTEGERS_ALONE if resolved["data"]["kind"] == "table_file" else None
  return resolved


def _of_today(section: Any) -> Any:
  """Returns a section as this version writes it, of a trunk wherever it stands.

  `remat` was once True or False; without `hidden_multiple`, hidden features were a multiple of 8 at any width.
  """
  if not isinstance(section, dict):
    return section
  named = {key: _of_today(value) for key, value in section.items()}
  if isinstance(named.get("remat"), bool):
    named["remat"] = "full" if named["remat"] else "none"
  if named.get("kind") == "transformer" and "hidden_multiple" not in named:
    wide = isinstance(named.get("width"), int) and named["width"] >= 512
    named["hidden_multiple"] = 8 if wide else None
  return named


def event_of(event: dict[str, Any]) -> EventSpec:
  """Returns the events that a record describes; a field that it lacks has its default."""
  shape, given = (_sizes(event, name) for name in ("shape", "given"))
  num_classes = event.get("num_classes")
  if type(num_classes) is not int or num_classes < 1:
    raise InputError(f"event.num_classes is {_shown(num_classes)}; a whole number > 0 is needed")
  if not shape:
    raise InputError("event.shape is missing or empty; whole numbers > 0 are needed")
  ignores = event.get("ignores", False)
  if not isinstance(ignores, bool):
    raise InputError(f"event.ignores is {_shown(ignores)}; true or false is needed")
  sizes = _position_sizes(event, shape, num_classes)
  counted: dict[str, Any] = {
    "frequencies": _shares(event, "frequencies", num_classes),
    "touching": _shares(event, "touching", num_classes * (num_classes - 1) // 2),
  }
  return EventSpec(shape, num_classes, given, ignores, sizes=sizes, **counted)


def _position_sizes(event: dict[str, Any], shape: tuple[int, ...], num_classes: int) -> tuple[int, ...] | None:
  if event.get("sizes") is None:
    return None
  sizes = _sizes(event, "sizes")
  if len(sizes) != math.prod(shape) or max(sizes) != num_classes:
    raise InputError(
      f"event.sizes must have a number for each of {math.prod(shape)} positions, the largest {num_classes}"
    )
  return sizes


def _shares(event: dict[str, Any], name: str, number: int) -> tuple[float, ...] | None:
  found = event.get(name)
  if found is None:
    return None
  numbers = isinstance(found, list) and all(type(each) in (int, float) and 0 < each <= 1 for each in found)
  if not numbers or len(found) != number:
    raise InputError(f"event.{name} is {_shown(found)}; {number} numbers above 0, up to 1, are needed, or null")
  return tuple(map(float, found))


def _sizes(event: dict[str, Any], name: str) -> tuple[int, ...]:
  sizes = event.get(name, [])
  if not isinstance(sizes, list) or not all(type(size) is int and size > 0 for size in sizes):
    raise InputError(f"event.{name} is {_shown(sizes)}; a list of whole numbers > 0 is needed")
  return tuple(sizes)


def _codec(spec: dict[str, Any]) -> Any:
  try:
    return from_spec(spec)
  except InputError as error:
    raise InputError(f"codec: {error}") from error
  except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
    raise InputError(f"codec is {_shown(spec)}, which describes none ({type(error).__name__}: {error})") from error


def _attributes(content: Mapping[str, Any]) -> tuple[Attribute, ...]:
  if "attributes" not in content:
    raise InputError("there is no 'attributes'")
  attributes = []
  for each in _objects(content, "attributes", ("name", "values")):
    name, values = each["name"], each["values"]
    if not isinstance(name, str) or not isinstance(values, list) or not all(isinstance(v, str) for v in values):
      raise InputError(f"attributes holds {_shown(each)}; a name and a list of texts are needed")
    attributes.append(Attribute(name, tuple(values)))
  given = tuple(_object(content, "event").get("given", ()))
  if sizes_of(attributes) != given:
    raise InputError(f"attributes have {sizes_of(attributes)} values, but event.given says {given}")
  return tuple(attributes)


def _object(content: Mapping[str, Any], name: str) -> dict[str, Any]:
  if name not in content:
    raise InputError(f"there is no {name!r}")
  if not isinstance(content[name], dict):
    raise InputError(f"{name} is {_shown(content[name])}; an object is needed")
  return content[name]


def _objects(content: Mapping[str, Any], name: str, keys: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
  """Returns a list of objects that have some keys; an empty one where it is absent."""
  found = content.get(name, [])
  if not isinstance(found, list):
    raise InputError(f"{name} is {_shown(found)}; a list is needed")
  for each in found:
    if not isinstance(each, dict) or not all(key in each for key in keys):
      raise InputError(f"{name} holds {_shown(each)}; an object with {', '.join(keys)} is needed")
    if "step" in keys and type(each["step"]) is not int:
      raise InputError(f"{name} holds the step {_shown(each['step'])}; a whole number is needed")
    for key in keys:
      if key in ("how", "workdir", "key") and not isinstance(each[key], str):
        raise InputError(f"{name} holds the {key} {_shown(each[key])}; a text is needed")
  return tuple({key: each[key] for key in keys} for each in found)


def _text(content: Mapping[str, Any], name: str) -> str:
  if name not in content:
    raise InputError(f"there is no {name!r}")
  if not isinstance(content[name], str):
    raise InputError(f"{name} is {_shown(content[name])}; a text is needed")
  return content[name]


def _shown(value: Any) -> str:
  """Returns a value in a few characters."""
  try:
    text = " ".join(repr(value).split())
  except RecursionError:
    return "nested too deeply"
  return text if len(text) <= 60 else f"{text[:60]}..."
