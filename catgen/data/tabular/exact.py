"""Rows of a table as categories and what these leave open, from which the same cells are made again, sign by sign.

A category says a cell but for a number of a bin, which is one of the numbers with so many decimals as the column has:
its place among them is left over. All places of some rows are digits of one whole number, each with a base of its own.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int32

from catgen.data.tabular import bins as binning
from catgen.data.tabular.bins import Bins, span
from catgen.data.tabular.cells import Form, is_missing, number_of, written
from catgen.data.tabular.codec import Table
from catgen.data.tabular.columns import NUMERIC, Column, category_of, decode
from catgen.interfaces import InputError

STYLES = ("fixed", "trimmed", "bare")  # 12.50, 12.00; 12.5, 12.0; 12.5, 12


class Left(NamedTuple):
  """What categories leave open: a whole number below another."""

  number: int
  below: int

  def to_bytes(self) -> bytes:
    """Returns the number in as many bytes as `below` needs."""
    return self.number.to_bytes(_num_bytes(self.below), "little")


def check(table: Table) -> None:
  """Raises InputError where numbers of a bin cannot be numbered, with the names of the columns."""
  lossy = [
    column.name
    for column in table.columns
    if column.kind == NUMERIC and column.bins.number and column.form is not None and column.form.decimals is None
  ]
  if lossy:
    raise InputError(
      f"numbers of {', '.join(map(repr, lossy))} have any digits or an exponent, and their bins do not say which: they"
      " cannot be made again; train on a table in which they are rounded, or call them categorical in a schema"
    )


def style_of(column: Column, cells: Sequence[str]) -> str:
  """Returns the style in which most numbers among cells are as they are written."""
  if column.kind != NUMERIC or column.form is None or not column.form.decimals or column.form.date is not None:
    return STYLES[0]
  form = column.form
  numbers = ((cell, number_of(cell, form)) for cell in cells)
  known = [(cell, written(number, form)) for cell, number in numbers if number is not None]

  def alike(style: str) -> int:
    return sum(_styled(fixed, style, form) == cell for cell, fixed in known)

  return max(STYLES, key=lambda style: (alike(style), -STYLES.index(style)))


def encoded(table: Table, columns: Sequence[Sequence[str]]) -> tuple[Int32[np.ndarray, "rows columns"], Left] | None:
  """Returns the categories of cells, column by column, and what they leave open; None where a cell has no category.

  `decoded` says whether the same comes back.
  """
  found, number, below = [], 0, 1
  for column, cells in zip(table.columns, columns, strict=True):
    if column.kind != NUMERIC:
      found.append(category_of(column, cells, table.missing))
      continue
    numbers = _numbers(column, cells, table.missing)
    known = ~np.isnan(numbers)
    categories = np.empty(len(cells), np.int32)
    categories[known] = binning.categories(numbers[known], column.bins)
    categories[~known] = category_of(column, [cells[i] for i in np.flatnonzero(~known).tolist()], table.missing)
    found.append(categories)
    spans, units = _spans(column.bins, _decimals(column)), np.rint(numbers * 10 ** _decimals(column))
    for category, unit in zip(categories.tolist(), units.tolist(), strict=True):
      if 0 <= category < len(spans):
        first, base = spans[category]
        place = int(unit) - first
        if not 0 <= place < base:
          return None  # beyond the bins
        number, below = number + place * below, below * base
  x = np.stack(found, axis=1)
  return None if (x < 0).any() else (x, Left(number, below))


def decoded(table: Table, styles: Sequence[str], x: Int32[np.ndarray, "rows columns"], left: bytes) -> list[list[str]]:
  """Returns the cells of categories and of what they left open, column by column."""
  number, columns = int.from_bytes(left, "little"), []
  for column, categories, style in zip(table.columns, x.T, styles, strict=True):
    if column.kind != NUMERIC:
      columns.append(decode(column, categories, np.zeros(len(categories))))
      continue
    spans, unit, form = _spans(column.bins, _decimals(column)), 10 ** _decimals(column), _form(column)
    in_bins = (categories >= 0) & (categories < len(spans))
    others = iter(decode(column, categories[~in_bins], np.zeros(int((~in_bins).sum()))))
    cells = []
    for category in categories.tolist():
      if 0 <= category < len(spans):
        first, base = spans[category]
        number, place = divmod(number, base)
        cells.append(_styled(written((first + place) / unit if unit > 1 else float(first + place), form), style, form))
      else:
        cell = next(others)
        cells.append(_styled(cell, style, form) if 0 <= category < column.known else cell)
    columns.append(cells)
  return columns


@functools.lru_cache(maxsize=256)
def _spans(bins: Bins, decimals: int) -> tuple[tuple[int, int], ...]:
  """Returns the first number of each bin, in units of the last decimal, and how many it has."""
  return tuple(span(category, bins, decimals) for category in range(bins.number))


def _numbers(column: Column, cells: Sequence[str], missing: frozenset[str]) -> Float64[np.ndarray, "rows"]:
  """Returns the numbers that cells are; NaN where they are none."""
  form = _form(column)
  found = (None if is_missing(cell, missing) else number_of(cell, form) for cell in cells)
  return np.array([np.nan if number is None else number for number in found])


def _decimals(column: Column) -> int:
  return _form(column).decimals or 0


def _num_bytes(below: int) -> int:
  return ((below - 1).bit_length() + 7) // 8


def _form(column: Column) -> Form:
  return column.form or Form()


def _styled(cell: str, style: str, form: Form) -> str:
  if style == STYLES[0] or form.decimal not in cell:
    return cell
  short = cell.rstrip("0")
  if not short.endswith(form.decimal):
    return short
  return f"{short}0" if style == STYLES[1] else short.removesuffix(form.decimal)
