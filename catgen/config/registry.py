"""From a section of a configuration to a recipe: `{"kind": "transformer", "width": 256}` and the sections within it.

Unknown, missing and misspelt names are refused with the name that was meant.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from catgen.interfaces import InputError
from catgen.kinds import Kind, Recipe, Registry, keys, nearest


def make_recipe(registry: Registry, section: Mapping[str, Any], name: str) -> Recipe:
  """Returns the recipe of a section, with recipes in place of the sections within it.

  Args:
    registry: the kinds that the section may have.
    section: "kind" and keys of that kind; None for a part means that it is left out.
    name: of the section in the configuration, "model.network", for messages.

  Raises:
    InputError: a kind or key that does not exist, or a part that is missing.
  """
  kind = section.get("kind")
  if not isinstance(kind, str) or kind not in registry:
    raise InputError(f"config.{name}.kind is {kind!r}; {nearest(str(kind), registry)}")
  chosen, known = registry[kind], keys(registry[kind].make)
  keywords = {key: value for key, value in section.items() if key != "kind"}
  for key in keywords:
    if key not in known:
      raise InputError(f"config.{name} has no key {key!r} where kind is {kind!r}; {nearest(key, known)}")
  return Recipe(chosen.make, {**keywords, **_parts(chosen, keywords, known, name)})


def _parts(
  kind: Kind, keywords: Mapping[str, Any], known: Mapping[str, inspect.Parameter], name: str
) -> dict[str, Any]:
  parts: dict[str, Any] = {}
  for part, registry in kind.parts.items():
    section = keywords.get(part)
    if isinstance(section, Mapping):
      parts[part] = make_recipe(registry, section, f"{name}.{part}")
    elif section is not None:
      raise InputError(f"config.{name}.{part} is {section!r}; it must be a section with a kind")
    elif known[part].default is inspect.Parameter.empty:
      raise InputError(f"config.{name}.{part} is not set; give it a kind: {', '.join(registry)}")
  return parts


def check_keys(section: Mapping[str, Any], known: Mapping[str, Any], name: str) -> None:
  """Raises InputError unless all keys of a section are among the known ones."""
  for key in section:
    if key not in known:
      raise InputError(f"config.{name} has no key {key!r}; {nearest(key, known)}")
