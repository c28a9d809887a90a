"""From a section of a configuration to a recipe: `{"kind": "transformer", "width": 256}` and the sections within it.

Unknown, missing and misspelt names are refused with the name that was meant.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from catgen.interfaces import InputError
from catgen.kinds import Kind, Part, Recipe, keys, nearest


def make_recipe(part: Part, section: Mapping[str, Any] | str, name: str) -> Recipe:
  """Returns the recipe of a section, with recipes in place of the sections within it.

  Args:
    part: the kinds that the section may have, or the one that it has.
    section: "kind" and keys of that kind; a text alone is a kind. None for a part means that it is left out.
    name: of the section in the configuration, "model.network", for messages.

  Raises:
    InputError: a kind or key that does not exist, or a key or part that is missing.
  """
  section = as_section(section, part, name)
  kind, known = choose(part, section, name)
  keywords = {key: value for key, value in section.items() if key != "kind"}
  for key, parameter in known.items():
    if keywords.get(key) is not None and key in kind.parts:
      keywords[key] = make_recipe(kind.parts[key], keywords[key], join(name, key))
    elif keywords.get(key) is None and parameter.default is inspect.Parameter.empty:
      raise InputError(missing(kind, key, join(name, key)))
  return Recipe(kind.make, keywords)


def choose(part: Part, section: Mapping[str, Any], name: str) -> tuple[Kind, dict[str, inspect.Parameter]]:
  """Returns the kind of a section and its keys.

  Raises:
    InputError: the kind does not exist, or the section has keys that it does not have.
  """
  label = f"config.{name}" if name else "config"
  kind = section.get("kind")
  if isinstance(part, Kind):
    chosen = part
  elif isinstance(kind, str) and kind in part:
    chosen = part[kind]
  elif kind is None:
    raise InputError(f"{label} has no kind; choose one of {', '.join(part)}")
  else:
    raise InputError(f"{label}.kind is {kind!r}; {nearest(str(kind), part)}")
  known = keys(chosen.make)
  for key in section:
    if key not in known and (key != "kind" or isinstance(part, Kind)):
      raise InputError(f"{label} has no key {key!r}{_advice(part, kind, key, known)}")
  return chosen, known


def _advice(part: Part, kind: Any, key: str, known: Mapping[str, Any]) -> str:
  if isinstance(part, Kind):
    return f"; {nearest(str(key), known)}"
  others = [name for name, other in part.items() if key in keys(other.make)]
  if others:
    return f" where kind is {kind!r}; it belongs to kind {' or '.join(map(repr, others))}"
  return f" where kind is {kind!r}; {nearest(str(key), known) if known else 'this kind has no keys'}"


def as_section(value: Any, part: Part, name: str) -> Mapping[str, Any]:
  """Returns what stands for a section as one: a text is its kind. Raises InputError for anything else."""
  if isinstance(value, Mapping):
    return value
  if isinstance(part, Kind):
    raise InputError(f"config.{name} is {value!r}; it must be a section with keys: {', '.join(keys(part.make))}")
  if isinstance(value, str):
    return {"kind": value}
  raise InputError(f"config.{name} is {value!r}; it must be a section with a kind: {', '.join(part)}")


def missing(kind: Kind, key: str, name: str) -> str:
  """Returns the line for a key that a kind needs and nobody gave."""
  part = kind.parts.get(key)
  if part is None:
    return f"config.{name} is not set, and there is no default: --config.{name}=..."
  return f"config.{name} is not set; give it a kind: {', '.join(part) if isinstance(part, Mapping) else key}"


def join(name: str, key: str) -> str:
  """Returns the name of a key of a section; that of the whole configuration is empty."""
  return f"{name}.{key}" if name else key
