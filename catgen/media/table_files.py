"""Files of rows of a table that a model knows: whatever their separator, decimal sign and byte order mark are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from catgen.data.encodings import LONGEST_MARK, encoding_of
from catgen.data.reading import open_bytes, read_text
from catgen.data.sets.table_file import read_table
from catgen.data.tabular import parquet
from catgen.data.tabular.cells import SWAPPED, is_missing, number_of, written
from catgen.data.tabular.codec import Table, cell_of, listed
from catgen.data.tabular.columns import NUMERIC, ORDINAL, Column, decode
from catgen.data.tabular.grid import Cells, Grid, Layout
from catgen.data.tabular.parquet import read_columns
from catgen.files import from_json
from catgen.interfaces import InputError
from catgen.paths import ending_of

_JSON = (".jsonl", ".ndjson")


class RowsOfFile(NamedTuple):
  """The rows of a file, and how it is written."""

  grid: Grid
  table: Table  # what rows are, their numbers written with the decimal sign of the file
  separator: str  # of the file; of what has none that of the training file
  marked: bool = False  # it begins with a byte order mark


class Beyond(NamedTuple):
  """A number outside the bins that training rows made of its column; the model puts it into the outermost."""

  column: str
  cell: str
  lowest: str  # that the outermost bins hold; numbers with a category of their own may lie beyond
  highest: str


def read_rows(table: Table, path: str, encoding: str, hole: str | None) -> RowsOfFile:
  """Returns the rows of a file of any kind. Raises InputError where it cannot be read.

  A separator other than that of the training file is found by the same rules as there, where the names of the columns
  do not fit otherwise; a decimal sign where numbers have another one and none has that of the training file.

  Args:
    table: what rows are.
    path: .csv, .tsv, .txt, .parquet or .jsonl.
    encoding: of a text without a byte order mark.
    hole: what a cell says that is to be completed; of JSON what it lacks is one; None: there are none.
  """
  ending = ending_of(path.lower())
  if ending in _JSON:
    return RowsOfFile(_json_grid(table, path, encoding, hole), table, table.separator)
  if ending in parquet.ENDINGS:
    grid = _read(table, path, encoding, None)
    points = [_swapped(column) if _sign(column) == "," else column for column in table.columns]
    return RowsOfFile(grid, table._replace(columns=tuple(points)), table.separator)
  grid = _separated(table, path, encoding)
  marked = encoding_of(path, open_bytes(path, LONGEST_MARK).data.tobytes(), "utf-8")[1] > 0
  return RowsOfFile(grid, _signed(table, grid), grid.separator, marked)


def grid_of_columns(table: Table, title: str, columns: Mapping[str, Sequence[Any]]) -> Grid:
  """Returns columns of values as a table of texts, numbers with the decimal signs of their columns."""
  known = {column.name: column for column in table.columns}
  cells = {
    name: [cell_of(value, known[name]) for value in values] if name in known else values
    for name, values in columns.items()
  }
  return read_columns(title, cells, Layout(table.missing, most=None))


def cells_beyond(grid: Grid, table: Table) -> dict[int, list[Beyond]]:
  """Returns, by the number of its row, each number outside the bins of its column, but those with a category.

  Args:
    grid: rows that were read, all of whose cells are texts.
    table: what they are.
  """
  places, found = {name: i for i, name in enumerate(grid.names)}, dict[int, list[Beyond]]()
  for column in table.columns:
    if column.kind == NUMERIC and column.name in places:
      for row, each in _beyond(column, grid.columns[places[column.name]], table.missing):
        found.setdefault(row, []).append(each)
  return found


def _beyond(column: Column, cells: Cells, missing: frozenset[str]) -> Iterator[tuple[int, Beyond]]:
  bins, form = column.bins, column.form
  if form is None or not bins.size:
    return
  numbers = [None if is_missing(text, missing) else number_of(text, form) for text in cells.texts]
  values = np.array([np.nan if number is None else number for number in numbers])
  lowest, highest = (bins.edges or bins.points)[0], (bins.edges or bins.points)[-1]
  outside = (values < lowest) | ((values >= highest) if bins.number else (values > highest))
  outside &= ~np.isin(values, bins.points)
  last = [written(highest, form)]
  if bins.number:
    last = decode(column, np.array([bins.number - 1]), np.array([1.0 - 2.0**-53]))
  for row in np.flatnonzero(outside[cells.codes]).tolist():
    yield row, Beyond(column.name, cells.texts[cells.codes[row]], written(lowest, form), last[0])


def _read(table: Table, path: str, encoding: str, separator: str | None) -> Grid:
  layout = Layout(table.missing, most=None)
  return read_table(path, layout, separator=separator, header=table.header, encoding=encoding, decimal=".")


def _separated(table: Table, path: str, encoding: str) -> Grid:
  """Returns the rows of a text: cut as the training file is, or, where columns are lacking then, as rules find it."""
  own = "\t" if ending_of(path.lower()) == ".tsv" else table.separator
  try:
    grid, error = _read(table, path, encoding, own), None
    if not _lacking(table, grid):
      return grid
  except InputError as failed:
    grid, error = None, failed
  try:
    found = _read(table, path, encoding, None)
    if not _lacking(table, found):
      return found
    grid = grid if grid is not None and len(_lacking(table, grid)) <= len(_lacking(table, found)) else found
  except InputError:
    pass
  if error is not None:
    raise error
  assert grid is not None, "it was read or there was an error"
  lacking = _lacking(table, grid)[0]
  raise InputError(
    f"{path} has no column {lacking!r}; it has {listed(grid.names)}. Name all columns in its first row, as the training"
    " file does; cells may be set apart by comma, semicolon, tab or bar"
  )


def _lacking(table: Table, grid: Grid) -> list[str]:
  return [name for name in table.names if name not in grid.names]


def _sign(column: Column) -> str | None:
  """Returns the decimal sign of a column of numbers; None of others."""
  return None if column.form is None or column.form.date is not None else column.form.decimal


def _swapped(column: Column) -> Column:
  """Returns a column of numbers that are written with the other decimal sign."""
  assert column.form is not None
  form = column.form._replace(decimal="," if column.form.decimal == "." else ".")
  values = tuple(value.translate(SWAPPED) for value in column.values) if column.kind == ORDINAL else column.values
  return column._replace(form=form, values=values)


def _signed(table: Table, grid: Grid) -> Table:
  """Returns what rows are, with the other decimal sign where only that one makes numbers of some cells."""
  places, own, other = {name: i for i, name in enumerate(grid.names)}, False, False
  for column in table.columns:
    if _sign(column) is None or column.form is None:
      continue
    swapped, values = _swapped(column).form, frozenset(column.values)
    assert swapped is not None
    for text in grid.columns[places[column.name]].texts:
      if ("," in text or "." in text) and text not in values and not is_missing(text, table.missing):
        fits = [number_of(text, form) is not None for form in (column.form, swapped)]
        own, other = own or fits == [True, False], other or fits == [False, True]
  if own or not other:
    return table
  return table._replace(
    columns=tuple(column if _sign(column) is None else _swapped(column) for column in table.columns)
  )


def _json_grid(table: Table, path: str, encoding: str, hole: str | None) -> Grid:
  """Returns the table of JSON lines, an object each; what an object lacks is missing, or a hole where there are any."""
  rows, lines = [], []
  for number, line in enumerate(read_text(path, encoding).split("\n"), 1):
    if not line.strip():
      continue
    try:
      found = from_json(line)
    except (ValueError, RecursionError) as error:
      raise InputError(f"{path}, line {number}: {error}; give one object a line") from error
    if not isinstance(found, dict) or any(isinstance(value, dict | list) for value in found.values()):
      raise InputError(f"{path}, line {number}: an object of texts and numbers is needed, by the names of the columns")
    absent = "" if hole is None else hole
    rows.append([found.get(name, absent) for name in table.names])
    lines.append(number)
  columns = {name: [row[i] for row in rows] for i, name in enumerate(table.names)}
  grid = grid_of_columns(table, path, columns)
  return grid._replace(place=lambda row: f"line {lines[row]}")
