"""Rows of tables: examples are dicts, lists of cells or data frames, and tables in files and in the terminal."""

import codecs
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from catgen.batches import batch_of
from catgen.bounds import estimate
from catgen.data import get_split
from catgen.data.tabular.codec import (
  Table,
  cells_of,
  checked_categories,
  encoded_grid,
  table_of,
  values_of,
  written_cells,
)
from catgen.data.tabular.columns import Column
from catgen.data.tabular.grid import Grid
from catgen.data.tabular.parquet import columns_of_frame
from catgen.evaluation import ngrams, samples
from catgen.files import writing
from catgen.interfaces import Batch, EventSpec, InputError
from catgen.media.medium import (
  HOLE,
  Counted,
  Examples,
  Media,
  chosen_ending,
  integers_of,
  marked,
  npy_bytes,
  read_array,
)
from catgen.media.table_files import Beyond, cells_beyond, grid_of_columns, read_rows
from catgen.paths import ending_of
from catgen.reporting import terminal
from catgen.sources import Codec, DataSource

ENDINGS = (".csv", ".tsv", ".jsonl", ".npy")
ARRAYS = (".npy", ".npz")
HOLE_CELL = "_"
_COLUMNS, _CHARACTERS = 12, 24  # that are shown of a row, and of a cell


def tables_media(event: EventSpec, codec: Codec, position: str) -> Media:
  """Returns how rows of a table are typed, shown, written and counted."""
  table = table_of(codec.spec)

  def typed(examples: Examples) -> Batch:
    return batch_of(_typed(table, examples, None))

  def typed_holes(examples: Examples, hole: str = HOLE_CELL) -> Batch:
    return batch_of(_typed(table, examples, hole))

  def read(path: str, encoding: str = "utf-8") -> Batch:
    return batch_of(_read(table, path, encoding, None))

  def read_holes(path: str, hole: str = HOLE_CELL, encoding: str = "utf-8") -> Batch:
    return batch_of(_read(table, path, encoding, hole))

  def compared(sets: Mapping[str, Batch]) -> list[list[str]]:
    return _statistics(table, sets, position)

  return Media(
    name="tables",
    typed=typed,
    read=read,
    shown=lambda batch: _shown(table, marked(batch)),
    written=lambda path, batch: _write(table, path, marked(batch)),
    check_output=_check_output,
    named=_named,
    compared=compared,
    line_each=False,
    baselines=partial(_baselines, table),
    read_holes=read_holes,
    typed_holes=typed_holes,
    filled=partial(_filled, table),
    with_beyond=partial(_with_beyond, table),
    encoded=True,
  )


def _typed(table: Table, examples: Any, hole: str | None) -> Int[np.ndarray, "rows columns"]:
  """Returns the categories of rows that are handed in: a data frame, a dict of columns, rows, or categories."""
  if isinstance(examples, np.ndarray) and examples.dtype.kind in "biu":
    return checked_categories(np.atleast_2d(integers_of(examples, "the row")), table)
  if all(isinstance(row, np.ndarray) and row.dtype.kind in "biu" for row in examples) and len(examples):
    return checked_categories(integers_of(list(examples), "the row"), table)
  return encoded_grid(_grid_of_rows(table, examples, hole), table, hole)


def _grid_of_rows(table: Table, examples: Any, hole: str | None) -> Grid:
  columns = columns_of_frame(examples)
  if columns is None:
    rows = [cells_of(row, table, "" if hole is None else hole) for row in examples]
    columns = {name: [row[i] for row in rows] for i, name in enumerate(table.names)}
  return grid_of_columns(table, "the rows", columns)


def _read(table: Table, path: str, encoding: str, hole: str | None) -> Int[np.ndarray, "rows columns"]:
  if ending_of(path.lower()) not in ARRAYS:
    found = read_rows(table, path, encoding, hole)
    return encoded_grid(found.grid, found.table, hole)
  array = np.atleast_2d(read_array(path))
  holes = (array == HOLE) & (hole is not None)
  try:
    return np.where(holes, HOLE, checked_categories(np.where(holes, 0, array), table))
  except InputError as error:
    raise InputError(f"{path}: {error}") from error


def _filled(
  table: Table,
  given: Any,
  rows: Int[np.ndarray, "completions"],
  x: Int[np.ndarray, "completions columns"],
  *,
  hole: str | None,
  output: str | None,
  encoding: str = "utf-8",
  changed: Bool[np.ndarray, "completions columns"] | None = None,
) -> list[str]:
  """Returns rows of which the holes are filled as lines, or writes them to a file; see `Media.filled`.

  All other cells, and columns that the model does not know, are as they were, and so are the separator, the decimal
  sign and a byte order mark of a file.
  """
  of_file = isinstance(given, str)
  if (of_file and ending_of(given.lower()) in ARRAYS) or (not of_file and isinstance(given[0], np.ndarray)):
    if output is not None:
      _write(table, output, x)
    return _shown(table, x)
  if of_file:
    grid, table, separator, with_mark = read_rows(table, given, encoding, hole)
  else:
    grid, separator, with_mark = _grid_of_rows(table, given, hole), table.separator, False
  fresh = (encoded_grid(grid, table, hole) == HOLE)[rows] if changed is None else changed
  drawn = written_cells(table, x)
  cells = [[texts[code] for code in codes[rows].tolist()] for texts, codes, *_ in grid.columns]
  places = {name: i for i, name in enumerate(grid.names)}
  for i, name in enumerate(table.names):
    choices = zip(fresh[:, i], drawn[i], cells[places[name]], strict=True)
    cells[places[name]] = [new if is_fresh else old for is_fresh, new, old in choices]
  if output is None:
    return _lines_of(grid.names, cells)
  _write_cells(table._replace(separator=separator), output, x, grid.names, cells, with_mark=with_mark)
  return []


def _with_beyond(table: Table, given: Any, encoding: str = "utf-8") -> tuple[Batch, dict[int, list[Beyond]]]:
  """Returns rows, read once, and their numbers beyond those of the training rows; see `Media.with_beyond`."""
  if isinstance(given, str):
    if ending_of(given.lower()) in ARRAYS:
      return batch_of(_read(table, given, encoding, None)), {}
    grid, table, *_ = read_rows(table, given, encoding, None)
  elif isinstance(given, np.ndarray) or any(isinstance(row, np.ndarray) for row in given):
    return batch_of(_typed(table, given, None)), {}
  else:
    grid = _grid_of_rows(table, given, None)
  return batch_of(encoded_grid(grid, table, None)), cells_beyond(grid, table)


def _check_output(path: str, *, invalid: bool) -> None:
  chosen_ending(path, ENDINGS, for_pipes=ENDINGS[0])


def _write(table: Table, path: str, x: Int[np.ndarray, "rows columns"]) -> None:
  _write_cells(table, path, x, table.names, written_cells(table, x))


def _write_cells(
  table: Table,
  path: str,
  x: Int[np.ndarray, "rows columns"],
  names: Sequence[str],
  cells: Sequence[Sequence[str]],
  *,
  with_mark: bool = False,
) -> None:
  """Writes rows: as cells in the form of the training file, as objects of JSON, or as categories."""
  ending = chosen_ending(path, ENDINGS, for_pipes=ENDINGS[0])
  with writing(path) as file:
    if ending == ".npy":
      file.write(npy_bytes(x))
    elif ending == ".jsonl":
      file.writelines(f"{json.dumps(row, ensure_ascii=False)}\n".encode() for row in values_of(table, names, cells))
    else:
      separator = "\t" if ending == ".tsv" else table.separator
      rows = zip(*cells, strict=True)
      file.write(codecs.BOM_UTF8 if with_mark else b"")
      file.writelines(_csv_lines([names, *rows] if table.header else rows, separator))


def _csv_lines(rows: Iterable[Sequence[str]], separator: str) -> Iterator[bytes]:
  line = io.StringIO()
  writer = csv.writer(line, delimiter=separator, lineterminator="\n")
  for cells in rows:
    writer.writerow(cells)
    yield line.getvalue().encode()
    line.seek(0)
    line.truncate()


def _shown(table: Table, x: Int[np.ndarray, "rows columns"]) -> list[str]:
  return _lines_of(table.names, written_cells(table, x))


def _lines_of(names: Sequence[str], columns: Sequence[Sequence[str]]) -> list[str]:
  """Returns rows as a table of lines, with a line for the columns that have no room."""
  rows = [[_short(cell) for cell in row] for row in zip(*columns[:_COLUMNS], strict=True)]
  lines = terminal.table([_short(name) for name in names[:_COLUMNS]], rows).split("\n")
  more = len(names) - _COLUMNS
  return [*lines, f"({more:,} more columns; --output=rows.csv writes all)"] if more > 0 else lines


def _short(cell: str) -> str:
  plain = terminal.visible(cell)
  return plain if len(plain) <= _CHARACTERS else f"{plain[: _CHARACTERS - 3]}..."


def _named(text: str) -> tuple[int, ...]:
  if not text.strip(" ,"):
    return ()
  raise InputError("each column of a table has categories of its own; leave --forbid out")


def _statistics(table: Table, sets: Mapping[str, Batch], position: str) -> list[list[str]]:
  """Returns the number of rows, and the mean over columns of entropies and of divergences from the last set."""
  found = {name: [_shares(column, each, i) for i, column in enumerate(table.columns)] for name, each in sets.items()}
  *_, reference = found.values()
  entropies = (np.mean([samples.entropy(shares) for shares in each]) for each in found.values())
  apart = (np.mean([samples.divergence(p, q) for p, q in zip(each, reference, strict=True)]) for each in found.values())
  return [
    ["rows", *(f"{len(each.x):,}" for each in sets.values())],
    [f"entropy of a {position}, mean, bits", *(f"{value:.3f}" for value in entropies)],
    [f"{position}s: mean divergence from training, bits", *(f"{value:.4f}" for value in apart)],
  ]


def _baselines(table: Table, source: DataSource, batch: Batch) -> Counted:
  """Returns the cross-entropy of counts of each column by itself, every category having been seen once more."""
  rows = ngrams.training_rows(get_split(source, "train"))
  nats = np.zeros(len(batch.x))
  for i, column in enumerate(table.columns):
    counts = np.bincount(rows.x[:, i], minlength=column.size) + 1.0
    nats += np.log(counts / counts.sum())[batch.x[:, i]]
  found = estimate(nats[None], batch.valid.sum(axis=1), exact=True)
  return Counted({"columns by themselves": found}, f"counted on {len(rows.x):,} training rows")


def _shares(column: Column, batch: Batch, number: int) -> np.ndarray:
  chosen = batch.x[:, number][batch.valid[:, number]]
  counts = np.bincount(chosen[chosen >= 0], minlength=column.size)[: column.size]
  return counts / max(1, counts.sum())
