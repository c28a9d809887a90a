"""Changes of a configuration by the names of its keys: {"training.num_steps": 200, "model.process": "absorbing"}."""

from collections.abc import Mapping
from typing import Any

from catgen.config.plugins import import_plugins
from catgen.config.registry import as_section, choose, join, missing
from catgen.config.sections import default_section, lay_over
from catgen.config.settings import EXPERIMENT
from catgen.config.values import checked, parsed, plain
from catgen.interfaces import InputError
from catgen.kinds import Kind, Part, keys

Section = dict[str, Any]


def apply_overrides(partial: Mapping[str, Any], changes: Mapping[str, Any]) -> Section:
  """Returns what a configuration spells out after some changes.

  A key need not be spelled out yet. A text given for a section is its kind: the section keeps the keys that this kind
  has too. A section given for a section replaces it. What a change sets to its default is spelled out no longer.

  Args:
    partial: what is spelled out before.
    changes: values by the names of keys, in any order; a value may be a text, as on a command line.

  Raises:
    InputError: a key or kind that does not exist, or a value of the wrong type.
  """
  section = dict(partial)
  if "plugins" in changes:
    section = _changed(EXPERIMENT, section, None, ["plugins"], changes["plugins"], "")
  import_plugins(section.get("plugins", ()))  # first, as changes may choose what they add
  for name in sorted(changes.keys() - {"plugins"}, key=lambda name: name.removesuffix(".kind").count(".")):
    section = _changed(EXPERIMENT, section, None, name.split("."), changes[name], "")
  return section


def _changed(part: Part, section: Section, base: Section | None, path: list[str], value: Any, name: str) -> Section:
  """Returns what is spelled out of a section after one change, `base` being the default that it lies over."""
  key, rest = path[0], path[1:]
  if key == "kind" and not rest and not isinstance(part, Kind):
    return _of_kind(part, section, value, name)
  whole = lay_over(base, section)
  kind, known = choose(part, {**whole, key: whole.get(key)}, name)
  label, others = join(name, key), {each: old for each, old in section.items() if each != key}
  defaults = base if base is not None and base.get("kind") == whole.get("kind") else {}
  if key in kind.parts:
    usual = defaults.get(key, default_section(kind.parts[key], known[key].default))
    changed = _changed_part(kind, key, section.get(key), usual, rest, value, label)
    same = changed == known[key].default if usual is None else changed is not None and lay_over(usual, changed) == usual
  elif rest:
    raise InputError(f"config.{label} is a value and has no keys; config.{join(label, '.'.join(rest))} does not exist")
  else:
    changed = parsed(value, known[key], label) if isinstance(value, str) else checked(value, known[key], label)
    same = changed == plain(defaults.get(key, known[key].default))
  return others if same else {**others, key: changed}


def _changed_part(
  kind: Kind, key: str, given: Any, base: Section | None, path: list[str], value: Any, name: str
) -> Section | None:
  part = kind.parts[key]
  section = {} if given is None else dict(as_section(given, part, name))
  if path:
    if not section and base is None and path != ["kind"]:
      raise InputError(missing(kind, key, name))
    return _changed(part, section, base, path, value, name)
  if value is None or value == "None":
    return None
  if isinstance(value, str) and not isinstance(part, Kind):
    return _of_kind(part, section, value, name)
  return dict(as_section(value, part, name))


def _of_kind(part: Mapping[str, Kind], section: Section, value: Any, name: str) -> Section:
  """Returns a section of another kind, with the keys that this kind has too."""
  kind, _ = choose(part, {"kind": value}, name)
  return {"kind": value, **_fitting(kind, section)}


def _fitting(kind: Kind, section: Mapping[str, Any]) -> Section:
  kept = {key: value for key, value in section.items() if key != "kind" and key in keys(kind.make)}
  for key in kept.keys() & kind.parts.keys():
    part, value = kind.parts[key], kept.pop(key)
    if isinstance(value, str) and not isinstance(part, Kind) and value in part:
      kept[key] = value
    elif isinstance(value, Mapping) and isinstance(part, Kind):
      kept[key] = _fitting(part, value)
    elif isinstance(value, Mapping) and not isinstance(part, Kind) and value.get("kind") in part:
      kept[key] = {"kind": value["kind"], **_fitting(part[value["kind"]], value)}
  return kept
