"""Tables of separated cells: CSV as programs and spreadsheets of any country write it."""

import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from catgen.data.reading import FileBytes, lines_of, open_text
from catgen.data.sets.text_table import fields_of_any_size
from catgen.data.tabular.grid import Chunk, Grid, Layout, read_grid, shortened, unique_names
from catgen.interfaces import InputError
from catgen.paths import ending_of

ENDINGS = (".csv", ".tsv", ".txt")
PACKED = (".gz", ".xz", ".bz2")
SEPARATORS = (",", ";", "\t", "|")
_SAMPLE = 1000  # rows that separator and decimal sign are told by
_CHUNK = 8192  # rows
_AT_ONCE = 256  # rows
_COMMA, _POINT = (re.compile(rf"[+-]?[0-9]*[{sign}][0-9]+") for sign in ",.")
_COMMAS, _POINTS = (re.compile(rf"[+-]?[1-9][0-9]{{0,2}}(?:[{sign}][0-9]{{3}})+") for sign in ",.")

Row = tuple[int, list[str]]  # the line that it ends in, and its cells


class Opened(NamedTuple):
  """A table of which the first rows were read."""

  names: list[str]
  nameless: list[int]  # places of the columns without a name in a first row of names
  rows: Iterator[Row]
  separator: str
  decimal: str


def read_delimited(
  path: str,
  layout: Layout,
  *,
  separator: str | None = None,
  header: bool = True,
  encoding: str = "utf-8",
  decimal: str | None = None,
) -> Grid:
  """Returns a table of separated cells; see `table_file`. Raises InputError that names file, line and remedy."""
  opened = _opened(open_text(path, encoding), separator, header=header, decimal=decimal)
  lines: list[np.ndarray] = []

  def chunks() -> Iterator[Chunk]:
    while rows := list(itertools.islice(opened.rows, _CHUNK)):
      lines.append(np.array([line for line, _ in rows], np.int32))
      yield Chunk(list(zip(*(cells for _, cells in rows), strict=True)))

  def place(row: int) -> str:
    numbers = np.concatenate(lines)
    return f"line {numbers[row]}"

  grid = read_grid(path, opened.names, chunks(), layout._replace(decimal=opened.decimal), place, opened.separator)
  return _without_empty(grid, opened.nameless)


def _opened(file: FileBytes, separator: str | None, *, header: bool, decimal: str | None) -> Opened:
  if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
    raise InputError(f"separator is {separator!r}; give one character, or None to have it found")
  if decimal not in (None, ".", ","):
    raise InputError(f'decimal is {decimal!r}; give "." or ","')
  lines = lines_of(file)
  first = next(lines, "")
  named = re.fullmatch(r"sep=(.)\r?\n?", first, re.IGNORECASE)  # as spreadsheets write it
  if named is not None:
    separator = separator or named[1]
    before = 1
  else:
    lines, before = itertools.chain([first], lines), 0
  if separator is None:
    sample = list(itertools.islice(lines, _SAMPLE))
    lines, separator = itertools.chain(sample, lines), _separator_of(sample, file.path)
  rows = _fields(file.path, lines, separator, before)
  begun = list(itertools.islice(rows, _SAMPLE))
  if not begun:
    raise InputError(f"{file.path} has only blank lines; bring a line of names and at least one row")
  width = len(begun[0][1])
  names = begun.pop(0)[1] if header else [""] * width
  checked = (_fitted(file.path, row, width, separator) for row in itertools.chain(begun, rows))
  ahead = list(itertools.islice(checked, len(begun)))
  sign = decimal or _decimal_of(file.path, ahead)
  nameless = [i for i, name in enumerate(names) if header and not name.strip()]
  return Opened(unique_names(names), nameless, itertools.chain(ahead, checked), separator, sign)


def _separator_of(sample: Sequence[str], path: str) -> str:
  """Returns what cuts every row of a sample into the same number of cells, two or more, and the first into most."""
  if ending_of(path.lower()) == ".tsv":
    return "\t"
  best = (0, 0, 0)
  found = SEPARATORS[0]
  for number, separator in enumerate(SEPARATORS):
    try:
      with fields_of_any_size():
        widths = [len(cells) for cells in csv.reader(sample, delimiter=separator) if cells]
    except csv.Error:
      continue
    if not widths or widths[0] < 2:
      continue
    alike = sum(width == widths[0] for width in widths)
    score = (int(1000 * alike / len(widths)), widths[0], -number)
    if score > best:
      best, found = score, separator
  return found


def _fields(path: str, lines: Iterator[str], separator: str, before: int) -> Iterator[Row]:
  """Yields the rows that are not blank."""
  reader = csv.reader(lines, delimiter=separator, strict=True)
  while True:
    try:
      with fields_of_any_size():
        rows = [(reader.line_num + before, cells) for cells in itertools.islice(reader, _AT_ONCE)]
    except csv.Error as error:
      if "new-line" in str(error):
        raise InputError(
          f"{path}: line {reader.line_num + before} has carriage returns alone as line breaks; write the file with line"
          " feeds"
        ) from error
      raise InputError(
        f"{path}: line {reader.line_num + before} is no row ({error}); correct the quotes there"
      ) from error
    if not rows:
      return
    yield from (row for row in rows if len(row[1]) > 1 or (row[1] and (row[1][0] == "" or row[1][0].strip())))


def _fitted(path: str, row: Row, width: int, separator: str) -> Row:
  """Returns a row of as many cells as the first; empty ones at the end are too many, or too few, for nobody."""
  line, cells = row
  if len(cells) == width:
    return row
  extra = cells[width:]
  if extra and not any(cell.strip() for cell in extra):
    return line, cells[:width]
  raise InputError(
    f"{path}: line {line} has {len(cells)} cells, the first row {width}; correct it, put quotes around cells that hold"
    f" {separator!r}, say separator=..., or delete the first row if it is a title or a comment"
  )


def _decimal_of(path: str, rows: Sequence[Row]) -> str:
  """Returns the decimal sign of a table, by its first rows: a comma where there are numbers with one and none with a
  point, those that may only be thousands aside."""
  comma, point = False, False
  unclear: tuple[int, str] | None = None
  signed = ((line, cell.strip()) for line, cells in rows for cell in cells if "," in cell or "." in cell)
  for line, cell in signed:
    if _COMMA.fullmatch(cell) or _COMMAS.fullmatch(cell):
      only = _COMMAS.fullmatch(cell) is not None
      comma |= not only
      unclear = unclear or ((line, cell) if only else None)
    elif _POINT.fullmatch(cell):
      point |= _POINTS.fullmatch(cell) is None
  if point:
    return "."
  if comma:
    return ","
  if unclear is not None:
    line, cell = unclear
    raise InputError(
      f"{path}: {shortened(cell)} in line {line} may have decimals or thousands, and no other number tells; say"
      ' decimal="," or decimal="."'
    )
  return "."


def _without_empty(grid: Grid, nameless: Sequence[int]) -> Grid:
  """Returns a table without the columns that have neither a name nor anything in them, as a last separator makes."""
  empty = [i for i in nameless if grid.columns[i].numbers is None and not any(grid.columns[i].texts)]
  keep = [i for i in range(len(grid.names)) if i not in empty]
  if not keep:
    raise InputError(f"{grid.path} has only empty cells; bring a column with something in it")
  return grid._replace(names=tuple(grid.names[i] for i in keep), columns=[grid.columns[i] for i in keep])
