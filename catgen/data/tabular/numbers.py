"""Several files of one table as numbers: its columns are learned from one of them and found by name in all."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from catgen.data.tabular.cells import is_missing, number_of
from catgen.data.tabular.codec import listed, unknown_cell
from catgen.data.tabular.columns import NUMERIC, OTHER, Column, Given, Rules, category_of, learn
from catgen.data.tabular.grid import Cells, Grid
from catgen.interfaces import InputError


class Numbered(NamedTuple):
  """Files of one table; see `evaluation.table_fidelity.Rows`."""

  columns: tuple[Column, ...]
  values: tuple[Float64[np.ndarray, "rows columns"], ...]  # of each file

  @property
  def sizes(self) -> tuple[int, ...]:
    """Number of categories of each column; 0: it has numbers."""
    return tuple(0 if column.kind == NUMERIC else column.size for column in self.columns)


def numbered(
  grids: Sequence[Grid], rules: Rules, known: Mapping[str, Given | None], drop: Sequence[str] = ()
) -> Numbered:
  """Returns tables as numbers: categories, or numbers and dates as they are, NaN where they are missing.

  What training rows would be for a model the first table is here: it says what columns are. Of the others a category
  that it lacks is OTHER.

  Args:
    grids: all of whose cells are texts.
    rules: by which columns are learned; every column has OTHER and what is missing.
    known: what a schema says of columns; None: left out.
    drop: columns that are left out.

  Raises:
    InputError: a table lacks a column, or has a text where the first has numbers.
  """
  first = grids[0]
  strange = [name for name in (*drop, *known) if name not in first.names]
  if strange:
    raise InputError(f"{first.path} has no column {strange[0]!r}; it has {listed(first.names)}")
  names = [name for name in first.names if name not in drop and not (name in known and known[name] is None)]
  if not names:
    raise InputError(f"{first.path} has no column that is not left out; keep at least one")
  for grid in grids[1:]:
    lacking = [name for name in names if name not in grid.names]
    if lacking:
      raise InputError(
        f"{grid.path} has no column {lacking[0]!r}, which {first.path} has; it has {listed(grid.names)}. Leave the"
        f" column out by --drop={lacking[0]}"
      )
  rows, places = np.arange(first.rows), {name: i for i, name in enumerate(first.names)}
  columns = []
  for name in names:
    cells = first.columns[places[name]]
    column = learn(first.path, name, cells, rows, first.place, rules, known.get(name) or Given())
    columns.append(column._replace(missing=column.missing or ""))
  return Numbered(tuple(columns), tuple(_values(grid, columns, rules.missing) for grid in grids))


def _values(grid: Grid, columns: Sequence[Column], missing: frozenset[str]) -> Float64[np.ndarray, "rows columns"]:
  found = np.empty((grid.rows, len(columns)))
  places = {name: i for i, name in enumerate(grid.names)}
  for i, column in enumerate(columns):
    cells = grid.columns[places[column.name]]
    if column.kind == NUMERIC:
      found[:, i] = _numbers(grid, column, cells, missing)
    else:
      found[:, i] = category_of(column, cells.texts, missing)[cells.codes]
  return found


def _numbers(grid: Grid, column: Column, cells: Cells, missing: frozenset[str]) -> Float64[np.ndarray, "rows"]:
  assert column.form is not None
  form = column.form._replace(decimal=grid.decimal)  # each file has its own
  found = [None if is_missing(text, missing) else number_of(text, form) for text in cells.texts]
  for code, (text, number) in enumerate(zip(cells.texts, found, strict=True)):
    if number is None and not is_missing(text, missing) and text not in (column.missing, OTHER):
      row = int(np.flatnonzero(cells.codes == code)[0])
      raise unknown_cell(grid.path, column, text, grid.place(row))
  return np.array([np.nan if number is None else number for number in found], np.float64)[cells.codes]
