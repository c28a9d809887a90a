"""Mappings as people write them: which category a label id or a color becomes, and which have none."""

import re
from typing import Any, NamedTuple

from catgen.data import tables
from catgen.data.label_ids import MOST_CATEGORIES
from catgen.data.label_images import color_code
from catgen.data.tables import Row, read_rows
from catgen.interfaces import InputError
from catgen.paths import ending_of

IGNORED = -1  # in place of a category: the position is not valid
_IGNORE, _OTHER = "ignore", "other"  # in place of a category, and of an id
_CHANNELS = (("r", "red"), ("g", "green"), ("b", "blue"))


class Mapping(NamedTuple):
  """What a mapping says."""

  pairs: dict[int, int]  # label id, or color as `color_code` has it -> category, or IGNORED
  other: int | None  # category of all others, or IGNORED; None: it does not say
  names: tuple[str, ...]  # of the categories, where it has those instead of numbers
  of_colors: bool


def read_mapping(mapping: str) -> Mapping:
  """Returns what a text of pairs or a file says, see `category_table.make_table`.

  Raises:
    InputError: it cannot be read, or lists an id twice; file, line and cell are named.
  """
  rows = _rows(mapping)
  keys = [_key(mapping, row) for row in rows]
  words = [row.cells[1].strip() if isinstance(row.cells[1], str) else row.cells[1] for row in rows]
  named = [word for word in words if isinstance(word, str) and word != _IGNORE and re.search(r"[^\W\d_]", word)]
  names = tuple(dict.fromkeys(named)) if len(named) == len([word for word in words if word != _IGNORE]) else ()
  categories = [_category(mapping, *each, names) for each in zip(rows, words, strict=True)]
  if not rows or len(set(keys)) < len(keys):
    raise InputError(f"mapping {mapping!r} lists {'an id twice' if rows else 'nothing'}; list every id once")
  listed = dict(zip(keys, categories, strict=True))
  other = listed.pop(_OTHER, None)
  colors = {isinstance(key, _Color) for key in listed}
  if len(colors) > 1:
    raise InputError(f"mapping {mapping!r} lists label ids and colors; list one kind")
  return Mapping({int(key): category for key, category in listed.items()}, other, names, True in colors)


class _Color(int):
  """The code of a color."""


def _rows(mapping: str) -> list[Row]:
  """Returns ids and categories, two cells each."""
  kind = ending_of(mapping)
  if kind not in tables.KINDS:
    rows = [Row(f"entry {pair!r}", tuple(pair.split(":"))) for pair in mapping.replace(",", " ").split()]
    for row in rows:
      if len(row.cells) != 2:
        raise _wrong(mapping, row, f"it has {len(row.cells)} parts")
    return rows
  rows = read_rows(mapping, "mapping", (2, 4))
  titled = kind != ".json" and bool(rows) and not any(re.search(r"[\d#]", cell) for cell in rows[0].cells)
  titles, rows = (rows[0].cells, rows[1:]) if titled else ((), rows)
  return [_with_color(row, _channels(mapping, row, titles)) if len(row.cells) == 4 else row for row in rows]


def _channels(mapping: str, row: Row, titles: tuple[str, ...]) -> list[int]:
  """Returns the columns of red, green and blue of four."""
  lower = [title.strip().lower() for title in titles]
  found = [i for names in _CHANNELS for i, title in enumerate(lower) if title in names]
  if len(found) == 3:
    return found
  numbers = [i for i, cell in enumerate(row.cells) if re.fullmatch("[0-9]+", cell.strip())]
  if len(numbers) == 3:
    return numbers
  raise _wrong(mapping, row, "its columns of red, green and blue are not known: call them r, g and b in a first line")


def _with_color(row: Row, channels: list[int]) -> Row:
  values = [row.cells[i].strip() for i in channels]
  color = "#" + "".join(
    f"{int(value):02x}" if re.fullmatch("[0-9]{1,3}", value) and int(value) < 256 else "?" for value in values
  )
  (category,) = (cell for i, cell in enumerate(row.cells) if i not in channels)
  return Row(row.place, (color if "?" not in color else ", ".join(values), category))


def _key(mapping: str, row: Row) -> int | str:
  text = str(row.cells[0]).strip()
  if text == _OTHER:
    return text
  try:
    return _Color(color_code(text)) if text.startswith("#") else int(text)
  except ValueError as error:
    raise _wrong(mapping, row, f"{text!r} is no label id and no color #rrggbb") from error


def _category(mapping: str, row: Row, word: Any, names: tuple[str, ...]) -> int:
  if word == _IGNORE:
    return IGNORED
  if word in names:
    return names.index(word)
  try:
    if isinstance(word, bool | float):
      raise TypeError
    found = int(word)
  except (ValueError, TypeError) as error:
    raise _wrong(mapping, row, f"{word!r} is no category, a whole number") from error
  if found >= MOST_CATEGORIES:
    raise _wrong(mapping, row, f"category {found} is beyond the {MOST_CATEGORIES:,} that there may be")
  if found < 0:
    raise InputError(
      f'category {found} of the mapping {mapping!r} ({row.place}) is negative; write "ignore" for no category'
    )
  return found


def _wrong(mapping: str, row: Row, reason: str) -> InputError:
  return InputError(
    f'mapping {mapping!r} cannot be read ({row.place}: {reason}); give "id:category id:category ...", a .json object or'
    " a .csv file of two columns"
  )
