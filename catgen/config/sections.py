"""From what a configuration spells out to every key: what it leaves out comes from the signatures of the factories.

A section that states no kind, or the kind of the default one, is laid over it; one of another kind stands alone.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from catgen.config.plugins import import_plugins
from catgen.config.registry import as_section, choose, join, missing
from catgen.config.settings import EXPERIMENT
from catgen.config.values import checked, plain
from catgen.interfaces import InputError
from catgen.kinds import Kind, Part, Recipe


def resolve(partial: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a configuration with every key, as plain JSON values.

  A required value that is not given, such as the path of a file, is None: whoever builds the thing refuses it.
  Modules that `plugins` names are imported first.

  Raises:
    InputError: a key or kind that does not exist, a value of the wrong type, or a section that is missing.
    PluginError: a module cannot be imported.
  """
  import_plugins(partial.get("plugins", ()))
  return fill(EXPERIMENT, partial)


def fill(part: Part, section: Mapping[str, Any] | str, name: str = "") -> dict[str, Any]:
  """Returns a section with every key of its kind and of the sections within it; see `resolve`.

  Args:
    part: the kinds that the section may have, or the one that it has.
    section: what is spelled out.
    name: of the section in the configuration, "model.network", for messages.
  """
  section = as_section(section, part, name)
  kind, known = choose(part, section, name)
  filled: dict[str, Any] = {} if isinstance(part, Kind) else {"kind": section["kind"]}
  for key, parameter in known.items():
    if key in kind.parts:
      filled[key] = _inner(kind, key, section, parameter.default, join(name, key))
    else:
      value = section[key] if key in section else _nothing(parameter.default)
      filled[key] = checked(value, parameter, join(name, key))
  return filled


def _inner(kind: Kind, key: str, section: Mapping[str, Any], default: Any, name: str) -> dict[str, Any] | None:
  base, given = default_section(kind.parts[key], default), section.get(key)
  if given is None and base is None and default is None:
    return None
  if given is None and key in section and default is not inspect.Parameter.empty:
    raise InputError(f"config.{name} is None; leave it out, or give it a kind")
  if given is None and base is None:
    raise InputError(missing(kind, key, name))
  given = {} if given is None else as_section(given, kind.parts[key], name)
  return fill(kind.parts[key], lay_over(base, given), name)


def default_section(part: Part, default: Any) -> dict[str, Any] | None:
  """Returns the section of a signature's default, a recipe; None where there is no default or it is None.

  A section without a choice of kinds needs none: all its keys have defaults of their own.
  """
  if isinstance(part, Kind):
    return {}
  if not isinstance(default, Recipe):
    return None
  name, kind = next((name, kind) for name, kind in part.items() if kind.make is default.make)
  values = {key: value for key, value in default.keywords.items() if value is not None}
  inner = {key: default_section(kind.parts[key], values[key]) for key in kind.parts.keys() & values.keys()}
  return {"kind": name, **plain({**values, **inner})}


def lay_over(base: Mapping[str, Any] | None, section: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a section laid over the default one where it is of the same kind, or states none."""
  if base is None or section.get("kind", base.get("kind")) != base.get("kind"):
    return dict(section)
  both = {
    key: lay_over(base[key], section[key]) for key in base.keys() & section.keys() if _are_sections(base, section, key)
  }
  return {**base, **section, **both}


def _are_sections(base: Mapping[str, Any], section: Mapping[str, Any], key: str) -> bool:
  return isinstance(base[key], Mapping) and isinstance(section[key], Mapping)


def flat(section: Mapping[str, Any], name: str = "") -> dict[str, Any]:
  """Returns the values of a section and of those within it by their names, "training.num_steps"."""
  found: dict[str, Any] = {}
  for key, value in section.items():
    found |= flat(value, join(name, key)) if isinstance(value, Mapping) else {join(name, key): value}
  return found


def _nothing(default: Any) -> Any:
  return None if default is inspect.Parameter.empty else plain(default)
