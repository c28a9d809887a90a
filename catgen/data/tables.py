"""Tables as people keep them: a .json object, or a .csv file as spreadsheets write it, whatever separates its cells."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from catgen.data.reading import read_text
from catgen.interfaces import InputError
from catgen.paths import ending_of

KINDS = (".json", ".csv", ".tsv")
SEPARATORS = (",", ";", "\t")


class Row(NamedTuple):
  """A row of a table, and where it stands, for messages."""

  place: str  # "line 3"
  cells: tuple[Any, ...]  # texts; of a .json object a key, and a value of any type


def read_table(path: str, title: str) -> list[tuple[str, Any]]:
  """Returns the pairs of a .json object or of a .csv file of two columns; `title` is what the table is, for errors."""
  return [(row.cells[0], row.cells[1]) for row in read_rows(path, title)]


def read_rows(path: str, title: str, widths: Sequence[int] = (2,)) -> list[Row]:
  """Returns the rows of a table, those without any text left out.

  The cells of a .csv file are separated by commas, semicolons or tabs: by the one that cuts every row into as many as
  are needed, or by the one that a first line "sep=;" names. Cells may be quoted. Trailing empty cells are left out.

  Args:
    path: of a .json or .csv file, of UTF-8 text, or UTF-16 with a byte order mark.
    title: what the table is, for messages.
    widths: numbers of columns that the .csv file may have.

  Raises:
    InputError: it is no such file, or no separator or more than one fits; the line is named.
  """
  kind = ending_of(path)
  if kind not in KINDS:
    raise InputError(f"{title} is {path!r}; give a .json or a .csv file")
  text = read_text(path)
  try:
    return _object(text) if kind == ".json" else _rows(text, widths)
  except (ValueError, RecursionError) as error:
    columns = "two columns" + "".join(f" or {width}" for width in widths if width != 2)
    raise InputError(f"{title} {path!r} cannot be read ({error}); give pairs: an object, or {columns}") from error


def _object(text: str) -> list[Row]:
  found = json.loads(text, object_pairs_hook=_Pairs)
  if not isinstance(found, _Pairs):
    raise ValueError(f"it is a {type(found).__name__}")
  return [Row(f"entry {i}", pair) for i, pair in enumerate(found, 1)]


class _Pairs(list[tuple[str, Any]]):
  """The entries of an object in their order; a key that stands there twice is not lost."""


def _rows(text: str, widths: Sequence[int]) -> list[Row]:
  named = text[:4].lower() == "sep=" and text[5:6] in ("\n", "\r")
  lines = io.StringIO(text[5:] if named else text, newline="")
  fitting, misfits = {}, {}
  for separator in text[4] if named else SEPARATORS:
    lines.seek(0)
    rows, misfit = _cut(lines, separator, widths)
    if misfit is None:
      fitting[separator] = rows
    else:
      misfits[separator] = (sum(len(row.cells) in widths for row in rows), misfit)
  if len(fitting) == 1:
    return next(iter(fitting.values()))
  if not fitting:
    best = max(misfits, key=lambda separator: misfits[separator][0])
    raise ValueError(f"{misfits[best][1]}, separated by {best!r}")
  both = " and by ".join(map(repr, fitting))
  raise ValueError(f"it can be separated by {both}: quote cells, or write the line sep={next(iter(fitting))} above it")


def _cut(lines: io.StringIO, separator: str, widths: Sequence[int]) -> tuple[list[Row], str | None]:
  """Returns the rows that a separator gives, and the first that is not as wide as the others or as needed, in words."""
  rows: list[Row] = []
  reader, line = csv.reader(lines, delimiter=separator, strict=True), 1
  try:
    for cells in reader:
      while len(cells) > min(widths) and not cells[-1].strip():
        cells.pop()
      if any(cell.strip() for cell in cells):
        rows.append(Row(f"line {line}", tuple(cells)))
      line = reader.line_num + 1
  except csv.Error as error:
    return rows, f"line {line}: {error}"
  wanted = next((len(row.cells) for row in rows if len(row.cells) in widths), 0)
  for row in rows:
    if len(row.cells) != wanted:
      return rows, f"{row.place} has {len(row.cells)} column{'s' * (len(row.cells) > 1)}"
  return rows, None
