"""A configuration as text: every key with its value, where that was set, and what it means."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from catgen.config.files import COMMAND_LINE, Configuration
from catgen.config.meanings import summary
from catgen.config.registry import choose, join
from catgen.config.settings import EXPERIMENT
from catgen.kinds import Kind, Part
from catgen.records import meanings

_WIDEST_SETTING = 48
_ORIGIN_WIDTH = len(COMMAND_LINE)


class _Row(NamedTuple):
  setting: str  # "  num_steps = 1000", or the name of a section
  origin: str
  meaning: str


def describe(configuration: Configuration, width: int = 120) -> str:
  """Returns a configuration as text of `width` columns: each key and value, where it was set, and what it means."""
  rows = list(_rows(EXPERIMENT, configuration.values, configuration.origins, ""))
  column = min(max(len(row.setting) for row in rows), _WIDEST_SETTING)
  return "\n".join(line for row in rows for line in _lines(row, column, width))


def _rows(part: Part, section: Mapping[str, Any], origins: Mapping[str, str], name: str) -> Iterator[_Row]:
  kind, _ = choose(part, section, name)
  known, indent = meanings(kind.make), "  " * (name.count(".") + 1) if name else ""
  for key, value in section.items():
    label = join(name, key)
    if isinstance(value, Mapping):
      yield _Row(f"{indent}{key}", "", known.get(key, ""))
      yield from _rows(kind.parts[key], value, origins, label)
    elif key == "kind" and not isinstance(part, Kind):
      yield _Row(f"{indent}kind = {value}", origins[label], summary(kind.make))
    else:
      yield _Row(f"{indent}{key} = {_shown(value)}", origins[label], known.get(key, ""))


def _shown(value: Any) -> str:
  if isinstance(value, list):
    return ",".join(map(str, value)) or "()"
  return repr(value) if isinstance(value, str) and value.strip() != value else str(value)


def _lines(row: _Row, column: int, width: int) -> list[str]:
  indent = column + _ORIGIN_WIDTH + 4
  meaning = textwrap.wrap(row.meaning, max(width - indent, 20)) or [""]
  first = [] if len(row.setting) <= column else [row.setting]
  setting = "" if first else row.setting
  lines = [f"{setting:{column}}  {row.origin:{_ORIGIN_WIDTH}}  {meaning[0]}"]
  return [line.rstrip() for line in [*first, *lines, *(" " * indent + line for line in meaning[1:])]]
