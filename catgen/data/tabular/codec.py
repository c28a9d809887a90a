"""The codec of rows of a table: a dict, a list of cells or a row of a data frame, and integers, one a column."""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float64, Int, Int32, Integer

from catgen.data.tabular.cells import is_missing, spelled, spelled_all, spelled_as
from catgen.data.tabular.columns import CATEGORICAL, RULES, UNKNOWN, Column, category_of, decode, spellings, typed
from catgen.data.tabular.grid import Grid, shortened
from catgen.data.tabular.schema import column_of, to_object
from catgen.interfaces import InputError
from catgen.sources import Codec

KIND = "table"


class Table(NamedTuple):
  """What the rows of a table are, and how it was written."""

  columns: tuple[Column, ...]
  missing: frozenset[str]  # words for nothing, beside an empty cell
  separator: str = ","
  header: bool = True
  with_other: frozenset[str] = frozenset()  # names of columns in which training rows have OTHER

  @property
  def names(self) -> list[str]:
    """Of the columns."""
    return [column.name for column in self.columns]


def table_codec(table: Table) -> Codec:
  """Returns the codec of rows.

  Encoding takes a dict by the names of the columns, what is left out being missing; cells in their order; a row of a
  pandas data frame; or, as they are, the categories, an array of integers. Decoding gives a dict in the order of the
  columns: whole numbers, floats, true or false, texts, and None where nothing is; a number of a bin is drawn in it,
  see `uniforms_of`. A number beyond the bins is taken for one of the outermost bin.
  """

  known = functools.cache(lambda i: spellings(table.columns[i]))

  def encode_row(values: Any) -> Int32[np.ndarray, "columns"]:
    if isinstance(values, np.ndarray) and values.dtype.kind in "biu":
      return checked_categories(values[None], table)[0]
    cells, found = cells_of(values, table), np.empty(len(table.columns), np.int32)
    for i, (column, cell) in enumerate(zip(table.columns, cells, strict=True)):
      found[i] = category_of(column, [cell], table.missing, known(i))[0]
      if found[i] == UNKNOWN:
        raise unknown_cell("the row", column, cell, "")
    return found

  def decode_row(
    x: Integer[Array | np.ndarray, "columns"], valid: Bool[Array | np.ndarray, "columns"] | None = None, /
  ) -> dict[str, Any]:
    x = np.asarray(x)
    known = np.where(True if valid is None else np.asarray(valid), x, UNKNOWN)
    return values_of(table, table.names, written_cells(table, known[None]))[0]

  spec = {
    "kind": KIND,
    "columns": [to_object(column) for column in table.columns],
    "missing": sorted(table.missing),
    "separator": table.separator,
    "header": table.header,
    **({"with_other": sorted(table.with_other)} if table.with_other else {}),
    "unknown": table.columns[0].unknown,
  }
  return Codec(encode_row, decode_row, spec)


def table_of(spec: Mapping[str, Any]) -> Table:
  """Returns the table that the spec of a codec describes. Raises InputError where it describes none."""
  unknown, separator, missing = spec["unknown"], spec["separator"], spec["missing"]
  if unknown not in RULES or not isinstance(separator, str) or len(separator) != 1:
    raise InputError("the codec of a table has no rule for what is unknown, or no separator")
  if not spec["columns"] or not all(isinstance(word, str) for word in missing):
    raise InputError("the codec of a table has no columns, or words for nothing that are no texts")
  columns = tuple(column_of(each, unknown) for each in spec["columns"])
  if len({column.name for column in columns}) < len(columns):
    raise InputError("the codec of a table has two columns of one name")
  return Table(columns, frozenset(missing), separator, bool(spec["header"]), frozenset(spec.get("with_other", ())))


def never_drawn(table: Table) -> list[tuple[int, int]]:
  """Returns (position, category) of what stands for values that training has not, where no training row has it."""
  columns = enumerate(table.columns)
  return [
    (i, column.known)
    for i, column in columns
    if column.unknown == "other" and column.size > 1 and column.name not in table.with_other
  ]


def cells_of(values: Any, table: Table, absent: str = "") -> list[str]:
  """Returns a row that a user hands in as cells in the order of the columns; see `table_codec`.

  absent: the cell of a column that a dict leaves out.
  """
  row = values if isinstance(values, Mapping) else _as_mapping(values)
  if isinstance(row, Mapping):
    strange = [name for name in row if name not in set(table.names)]
    if strange:
      raise InputError(f"the row has {strange[0]!r}, which is no column; the columns are {listed(table.names)}")
    return [cell_of(row[column.name], column) if column.name in row else absent for column in table.columns]
  if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
    raise InputError(f"a row is a {type(values).__name__}; give a dict by the names of the columns, or a list of cells")
  if len(values) != len(table.columns):
    raise InputError(f"the row has {len(values)} cells, the table {len(table.columns)} columns: {listed(table.names)}")
  return [cell_of(value, column) for value, column in zip(values, table.columns, strict=True)]


def cell_of(value: Any, column: Column) -> str:
  """Returns a value that a user hands in as a cell: a number with the column's decimal sign, a date in its form."""
  if column.form is not None and column.form.date is not None:
    return spelled_as(value, column.form.date).strip()
  text = spelled(value).strip()
  if not isinstance(value, str) and text not in column.values:
    day = spelled_all([value])[0]  # as a frame of such days has it
    text = day if day in column.values else text
  by_comma = column.form is not None and column.form.decimal == ","
  return text.replace(".", ",") if by_comma and not isinstance(value, str) else text


def _as_mapping(values: Any) -> Any:
  """Returns a row of a data frame as a dict, anything else as it is."""
  convert = getattr(values, "to_dict", None)
  return values if convert is None else convert()


def encoded_grid(grid: Grid, table: Table, hole: str | None = None) -> Int32[np.ndarray, "rows columns"]:
  """Returns the rows of a table that was read, its columns found by name; others that it has are left out.

  Args:
    grid: the table, all of whose cells are texts.
    table: what rows are.
    hole: a cell that is to be completed, of which the category is UNKNOWN; so is that of a missing one in a column
      whose training rows have none, and in all columns where `hole` is itself a word for nothing, or empty. None: there
      are no holes.

  Raises:
    InputError: a column is missing, or a cell is none of its column's, with its place.
  """
  places = {name: i for i, name in enumerate(grid.names)}
  lacking = [name for name in table.names if name not in places]
  if lacking:
    raise InputError(f"{grid.path} has no column {lacking[0]!r}; it has {listed(grid.names)}")
  found = np.empty((grid.rows, len(table.columns)), np.int32)
  for i, column in enumerate(table.columns):
    texts, codes = grid.columns[places[column.name]][:2]
    categories = category_of(column, texts, table.missing)
    open_texts = np.array([_is_hole(text, column, table, hole) for text in texts], bool)
    wrong = (categories == UNKNOWN) & ~open_texts
    if wrong.any():
      row = int(np.flatnonzero(wrong[codes])[0])
      raise unknown_cell(grid.path, column, texts[codes[row]], grid.place(row))
    found[:, i] = np.where(open_texts, UNKNOWN, categories)[codes]
  return found


def _is_hole(text: str, column: Column, table: Table, hole: str | None) -> bool:
  if hole is None:
    return False
  every = column.missing is None or is_missing(hole, table.missing)  # a word for nothing stands for all of them
  return text == hole or (every and is_missing(text, table.missing))


def unknown_cell(owner: str, column: Column, cell: str, place: str) -> InputError:
  """Returns the line for a cell that is none of its column's categories."""
  where = f" in {place}" if place else ""
  has = f"numbers such as {listed(_examples(column))}" if column.known else "nothing"
  if column.values:
    has = listed(column.values)
  if not cell:
    said = f"{owner}: column {column.name!r} has no value{where}, but training has none that is missing"
  else:
    said = f"{owner}: column {column.name!r} has {shortened(cell)}{where}, which training has not; it has {has}"
  return InputError(f'{said}. Correct it, or say unknown="other" or unknown="missing" when training')


def _examples(column: Column) -> list[str]:
  numbers = np.arange(min(2, column.known))
  return decode(column, numbers, np.zeros(len(numbers)))


def checked_categories(x: Int[np.ndarray, "rows columns"], table: Table) -> Int32[np.ndarray, "rows columns"]:
  """Returns categories. Raises InputError where one is none of its column's."""
  sizes = np.array([column.size for column in table.columns])
  if x.ndim != 2 or x.shape[1] != len(sizes):
    raise InputError(f"an array of shape {x.shape[1:]} is no row of {len(sizes)} categories; give one a column")
  outside = (x < 0) | (x >= sizes)
  if outside.any():
    row, i = map(int, np.argwhere(outside)[0])
    raise InputError(
      f"row {row} has the category {x[row, i]} in column {table.names[i]!r}, whose categories are 0 to {sizes[i] - 1}"
    )
  return x.astype(np.int32)


def uniforms_of(x: Int[np.ndarray, "rows columns"]) -> Float64[np.ndarray, "rows columns"]:
  """Returns the uniform numbers in [0, 1) by which bins become numbers: they follow from all categories of the rows.

  So the same samples are always written in the same way, and equal rows in one file differ inside their bins.
  """
  digest = hashlib.sha256(np.ascontiguousarray(x, "<i4").tobytes()).digest()
  words = np.random.Philox(key=int.from_bytes(digest[:16], "little")).random_raw(x.size).reshape(x.shape)
  return (words >> np.uint64(11)) * 2.0**-53


def written_cells(table: Table, x: Int[np.ndarray, "rows columns"]) -> list[list[str]]:
  """Returns the cells of rows, column by column; "" for what is no category."""
  uniforms = uniforms_of(x)
  return [decode(column, x[:, i], uniforms[:, i]) for i, column in enumerate(table.columns)]


def values_of(table: Table, names: Sequence[str], cells: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
  """Returns rows as values by the names of their columns; see `table_codec`.

  Args:
    table: what the columns that it has are; others are texts.
    names: of columns.
    cells: column by column, as `written_cells` gives them.
  """
  known = {column.name: column for column in table.columns}
  columns = []
  for name, texts in zip(names, cells, strict=True):
    column = known.get(name, Column(name, CATEGORICAL))
    there = np.array([not is_missing(text, table.missing) and text != column.missing for text in texts], bool)
    columns.append(typed(column, texts, there))
  return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def listed(names: Sequence[str]) -> str:
  """Returns names for a message, shortened beyond eight."""
  return ", ".join(map(shortened, names[:8])) + " ..." * (len(names) > 8)
