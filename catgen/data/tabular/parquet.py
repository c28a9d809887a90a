"""Tables of Parquet files, and data frames in memory: columns of values that have types."""

import csv
import importlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from catgen.data.reading import existing_file
from catgen.data.tabular.cells import spelled, spelled_all
from catgen.data.tabular.grid import Chunk, Grid, Layout, read_grid, unique_names, without_midnight
from catgen.files import on_disk
from catgen.interfaces import InputError

ENDINGS = (".parquet", ".pq")
_CHUNK = 8192  # rows
_MANY_CELLS = 2**20  # of a chunk


def read_parquet(path: str, layout: Layout) -> Grid:
  """Returns the table of a Parquet file. Raises InputError where it is damaged, or a column holds lists or records."""
  path = existing_file(path)
  try:
    parquet = importlib.import_module("pyarrow.parquet")
  except ImportError as error:
    raise InputError(
      f'{path} needs pyarrow, which is not installed; pip install "catgen[parquet]", or give a .csv file'
    ) from error
  arrow = importlib.import_module("pyarrow")
  try:
    with on_disk(path) as place:
      file = parquet.ParquetFile(place)
      _check_types(path, arrow, file.schema_arrow)
      names = unique_names(file.schema_arrow.names)
      step = max(1, min(_CHUNK, _MANY_CELLS // max(1, len(names))))
      if not names:
        raise InputError(f"{path} has no columns; bring at least one")
      chunks = (
        Chunk([list(map(spelled, _values(column, arrow))) for column in batch.columns])
        for batch in file.iter_batches(batch_size=step)
      )
      timed = [i for i, field in enumerate(file.schema_arrow) if arrow.types.is_timestamp(field.type)]
      grid = read_grid(path, names, chunks, layout, _row)
      for i in timed:
        grid.columns[i] = without_midnight(grid.columns[i], layout.missing)
      return grid
  except InputError:
    raise
  except (arrow.lib.ArrowException, OSError, ValueError, OverflowError, UnicodeDecodeError) as error:
    raise InputError(f"{path} is no Parquet file that can be read ({error}); write it again") from error


def _values(column: Any, arrow: Any) -> list[Any]:
  """Returns the values of a column as Python has them; moments in UTC, and those finer than it has as texts."""
  if arrow.types.is_timestamp(column.type) and column.type.tz is not None:
    column = column.cast(arrow.timestamp(column.type.unit))  # which says the moment in UTC
  if not arrow.types.is_timestamp(column.type) or column.type.unit != "ns":
    return list(column.to_pylist())
  try:
    return list(column.cast(arrow.timestamp("us")).to_pylist())
  except arrow.lib.ArrowInvalid:  # it would lose nanoseconds
    return list(column.cast(arrow.string()).to_pylist())


def _check_types(path: str, arrow: Any, schema: Any) -> None:
  for field in schema:
    if arrow.types.is_nested(field.type) or arrow.types.is_binary(field.type):
      raise InputError(
        f"{path}: column {field.name!r} holds {field.type}, no texts, numbers or dates; leave it out of the file"
      )


def read_columns(title: str, columns: Mapping[str, Sequence[Any]], layout: Layout) -> Grid:
  """Returns the table of columns in memory; `title` is what it is called in messages."""
  lengths = {name: len(values) for name, values in columns.items()}
  for name, length in lengths.items():
    first = next(iter(lengths))
    if length != lengths[first]:
      raise InputError(
        f"{title}: column {first!r} has {lengths[first]} cells, column {name!r} {length}; make them equal"
      )
  if not columns:
    raise InputError(f"{title} has no columns; bring at least one")

  cells = [spelled_all(values) for values in columns.values()]

  def chunks() -> Iterator[Chunk]:
    for start in range(0, next(iter(lengths.values())), _CHUNK):
      yield Chunk([column[start : start + _CHUNK] for column in cells])

  return read_grid(title, unique_names(list(columns)), chunks(), layout, _row)


def columns_of_frame(frame: Any) -> dict[str, list[Any]] | None:
  """Returns the columns of a data frame (pandas, polars), or of a dict of lists; None for what is none of them.

  Columns of one name keep apart: a second "a" is a_2. Raises InputError where a frame is lazy.
  """
  if type(frame).__name__ == "LazyFrame":
    raise InputError("the data frame is lazy and has no rows yet; give frame.collect()")
  if isinstance(frame, Mapping):
    if not all(isinstance(values, list | tuple) or _listed(values) is not None for values in frame.values()):
      return None
    return {str(name): _cells(values) for name, values in frame.items()}
  names, place = getattr(frame, "columns", None), getattr(frame, "iloc", None)
  if names is None or isinstance(frame, type):
    return None
  titles = unique_names([str(name) for name in names])
  columns = [place[:, i] for i in range(len(titles))] if place is not None else [frame[name] for name in names]
  found = [_listed(column) for column in columns]
  return {name: each for name, each in zip(titles, found, strict=True) if each is not None}


def _cells(values: Any) -> list[Any]:
  """Returns the cells of a column that is a list or an array; None where an array of NumPy has a mask."""
  if not isinstance(values, np.ma.MaskedArray):
    return list(values)
  hidden = np.ma.getmaskarray(values)
  return [None if hidden[i] else value for i, value in enumerate(values.data)]


def csv_of(columns: Mapping[str, Sequence[Any]], order: Sequence[int] | None = None) -> bytes:
  """Returns the CSV file of columns in memory, its rows in another order where one is given."""
  text = io.StringIO()
  writer = csv.writer(text, lineterminator="\n")
  writer.writerow(columns)
  cells = [spelled_all(values) for values in columns.values()]
  for name, column in zip(columns, cells, strict=True):
    if len(column) != len(cells[0]):
      raise InputError(f"column {name!r} has {len(column)} cells, others {len(cells[0])}; make them equal")
  try:
    for row in range(len(cells[0]) if cells else 0) if order is None else order:
      writer.writerow([column[row] for column in cells])
    return text.getvalue().encode()
  except (UnicodeEncodeError, csv.Error) as error:
    raise InputError(f"the data frame has a text that no file can hold ({error}); correct it") from error


def _listed(column: Any) -> list[Any] | None:
  """Returns the values of a column of a frame, or of an array, as Python has them; moments of numpy as they are."""
  if getattr(getattr(column, "dtype", None), "kind", "") == "M" and not hasattr(column, "to_list"):
    return list(column)
  convert = getattr(column, "tolist", None) or getattr(column, "to_list", None)
  return None if convert is None else list(convert())


def _row(number: int) -> str:
  return f"row {number + 1}"
