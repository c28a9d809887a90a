"""Every key of a configuration, from the registries that `--print_config` reads too."""

from collections.abc import Mapping
from typing import Any

from catgen.config.meanings import summary
from catgen.config.settings import EXPERIMENT
from catgen.config.values import plain
from catgen.kinds import Kind, Part, Recipe, keys
from catgen.records import meanings
from docs.making.links import label
from docs.making.reference import escaped

Found = dict[int, tuple[str, Part]]


def keys_page() -> str:
  """Returns the sections of a configuration, each of their kinds, and each key with its default and its meaning."""
  found = sections()
  lines = [
    "# Configuration keys",
    "",
    "`--config.a.b=value` sets the key b of the section a, `--config.model=NAME` the kind of a section. The default of",
    "a key stands in the signature of the function that takes it, and its meaning in that function's docstring; both",
    "are read here as `--print_config` reads them. What a run that has begun may change is in",
    "[What a change means](changes.md).",
    "",
    "(section-config)=",
    "## The whole",
    "",
    *_table(EXPERIMENT, found),
  ]
  for name, part in found.values():
    lines += ["", f"({label('section', name)})=", f"## {name}", ""]
    if isinstance(part, Kind):
      lines += [_sentence(part), "", *_table(part, found)]
    else:
      for kind, each in part.items():
        lines += [f"({label('section', name + ' ' + kind)})=", f"### {name} = {kind}", "", _sentence(each), ""]
        lines += _table(each, found)
  return "\n".join(lines) + "\n"


def sections() -> Found:
  """Returns every registry and every section without a choice, once, with the name of its first place."""
  found: Found = {}
  _walk(EXPERIMENT, "", found)
  return found


def _walk(part: Part, name: str, found: Found) -> None:
  kinds = [part] if isinstance(part, Kind) else list(part.values())
  inner = [(key, each) for kind in kinds for key, each in kind.parts.items()]
  fresh = []
  for key, each in inner:
    if id(each) not in found and _same(each, found) is None:
      found[id(each)] = (f"{name}.{key}" if name else key, each)
      fresh.append((found[id(each)][0], each))
  for label_of, each in fresh:
    _walk(each, label_of, found)


def _same(part: Part, found: Found) -> str | None:
  """Returns the name of the section that has the same kinds as another one, by the functions that make them."""
  return next((name for name, other in found.values() if _makes(other) == _makes(part)), None)


def _makes(part: Part) -> Any:
  return part.make if isinstance(part, Kind) else {name: kind.make for name, kind in part.items()}


def _table(kind: Kind, found: Found) -> list[str]:
  known = meanings(kind.make)
  rows = [
    f"| {_key(key, kind, found)} | {_default(key, each, kind)} | {escaped(known.get(key, ''))} |"
    for key, each in keys(kind.make).items()
  ]
  return ["| key | default | meaning |", "|---|---|---|", *rows, ""] if rows else ["It has no keys.", ""]


def _sentence(kind: Kind) -> str:
  text = escaped(summary(kind.make))
  return f"{text[:1].upper()}{text[1:]}."


def _key(key: str, kind: Kind, found: Found) -> str:
  part = kind.parts.get(key)
  name = _same(part, found) if part is not None else None
  return f"[{key}](#{label('section', name)})" if name else f"`{key}`"


def _default(key: str, parameter: Any, kind: Kind) -> str:
  default = parameter.default
  if default is parameter.empty:
    return "" if key in kind.parts and isinstance(kind.parts[key], Kind) else "to be given"
  if isinstance(default, Recipe) and isinstance(part := kind.parts.get(key), Mapping):
    name = next(name for name, each in part.items() if each.make is default.make)
    given = ", ".join(
      f"{each}={plain(value)}" for each, value in default.keywords.items() if not isinstance(value, Recipe)
    )
    return f"`{name}`" + (f" with `{given}`" if given else "")
  return f"`{plain(default)!r}`".replace("|", "\\|")
