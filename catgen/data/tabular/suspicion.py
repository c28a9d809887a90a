"""Columns that may be read in another way than they are meant, each told in a line."""

import itertools
import re
from collections.abc import Sequence

import numpy as np

from catgen.data.tabular.cells import LARGEST, Form, beyond_floats, forms, is_missing, is_too_large, number_of
from catgen.data.tabular.columns import CATEGORICAL, NUMERIC, Column, Rules
from catgen.data.tabular.grid import Cells, Grid, shortened

_HALF = 0.5  # of the texts, from which on a column is taken for one of numbers, or of dates
_MOST = 0.8  # of the rows that differ, from which on they are no categories
_DAY = re.compile("(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])").fullmatch


def suspicion(column: Column, cells: Cells, missing: frozenset[str], decimal: str, few: int) -> tuple[str, str] | None:
  """Returns what is odd about a column, and the cell that shows it; None where nothing is."""
  known = [text for text in cells.texts if not is_missing(text, missing)]
  if cells.numbers is not None or len(known) <= few:
    return None
  if column.kind == NUMERIC:
    if column.form is None or column.form.date is not None or not all(map(_DAY, known)):
      return None
    return 'numbers that look like days but are taken for numbers; say "date": "%Y%m%d" in a schema', known[0]
  if column.kind != CATEGORICAL:
    return None
  became = (
    f"each of {len(known):,} texts is a category; correct it, name it in missing=..., or say in a schema what it is"
  )
  beyond = next((text for text in known if beyond_floats(text, decimal)), None)
  few_odd = int(_HALF * len(known))
  if beyond is not None:
    return f"{_why_beyond(beyond, known, decimal, few_odd)}, so that {became}", beyond
  for form in forms(decimal):
    odd = list(itertools.islice((text for text in known if number_of(text, form) is None), few_odd + 1))
    if 0 < len(odd) <= few_odd:
      kind = "numbers" if form.date is None else f"dates {form.date}"
      return f"{kind} but for few cells such as this, so that {became}", odd[0]
  if len(known) >= _MOST * len(cells.codes):
    return (
      "texts that nearly all differ and are no numbers or dates that can be read; each of"
      f" {len(known):,} is a category; leave the column out by drop={column.name} where it only numbers the rows, or"
      " correct it, name it in missing=..., or say in a schema what it is"
    ), known[0]
  return None


def _why_beyond(beyond: str, known: Sequence[str], decimal: str, few: int) -> str:
  """Returns why a cell is no number of a table, with the first of few other cells that are none for another reason."""
  why = "a number of more digits than 64-bit floats keep"
  if is_too_large(beyond, decimal):
    why = f"a number beyond {LARGEST:g}, the largest that a table takes"
  odd = [text for text in known if number_of(text, Form(decimal=decimal)) is None and not beyond_floats(text, decimal)]
  return f"{why}, and {shortened(odd[0])}, which is no number" if 0 < len(odd) <= few else why


def suspected(grid: Grid, number: int, column: Column, rules: Rules) -> str | None:
  """Returns the line for column `number` of a table that may be meant otherwise, with the cell that shows it."""
  cells = grid.columns[number]
  found = suspicion(column, cells, rules.missing, grid.decimal, rules.few)
  if found is None:
    return None
  row = int(np.argmax(cells.codes == cells.texts.index(found[1])))
  return f"column {column.name!r} has {shortened(found[1])} in {grid.place(row)}: {found[0]}"


def suspected_of(grids: Sequence[Grid], columns: Sequence[Column], rules: Rules) -> list[str]:
  """Returns a line for each column of several files that may be meant otherwise, of the first file that shows it."""
  lines = []
  for column in columns:
    of_each = ((grid.path, suspected(grid, grid.names.index(column.name), column, rules)) for grid in grids)
    lines += [f"{path}: {line}" for path, line in of_each if line is not None][:1]
  return lines
