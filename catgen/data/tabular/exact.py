"""Rows of a table as categories and what these leave open, from which the same cells are made again, sign by sign.

A category says a cell but for a number of a bin, which is one of the numbers with so many decimals as the column has:
its place among them is left over. All places of some rows are digits of one whole number, each with a base of its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32

from catgen.data.tabular.bins import span
from catgen.data.tabular.cells import Form, number_of, written
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
  known = [cell for cell in cells if number_of(cell, column.form) is not None]

  def alike(style: str) -> int:
    return sum(_styled(written(_number(cell, column), _form(column)), style, _form(column)) == cell for cell in known)

  return max(STYLES, key=lambda style: (alike(style), -STYLES.index(style)))


def encoded(table: Table, columns: Sequence[Sequence[str]]) -> tuple[Int32[np.ndarray, "rows columns"], Left] | None:
  """Returns the categories of cells, column by column, and what they leave open; None where a cell has no category.

  `decoded` says whether the same comes back.
  """
  found = [category_of(column, cells, table.missing) for column, cells in zip(table.columns, columns, strict=True)]
  x = np.stack(found, axis=1)
  if (x < 0).any():
    return None
  number, below = 0, 1
  for column, categories, cells in zip(table.columns, found, columns, strict=True):
    for category, cell in zip(categories.tolist(), cells, strict=True):
      if column.kind == NUMERIC and category < column.bins.number:
        first, base = span(category, column.bins, _form(column).decimals or 0)
        place = round(_number(cell, column) * 10 ** (_form(column).decimals or 0)) - first
        if not 0 <= place < base:
          return None  # beyond the bins
        number, below = number + place * below, below * base
  return x, Left(number, below)


def decoded(table: Table, styles: Sequence[str], x: Int32[np.ndarray, "rows columns"], left: bytes) -> list[list[str]]:
  """Returns the cells of categories and of what they left open, column by column."""
  number, columns = int.from_bytes(left, "little"), []
  for column, categories, style in zip(table.columns, x.T, styles, strict=True):
    cells = decode(column, categories, np.zeros(len(categories)))
    for row, category in enumerate(categories.tolist()):
      if column.kind == NUMERIC and category < column.known:
        if category < column.bins.number:
          first, base = span(category, column.bins, _form(column).decimals or 0)
          number, place = divmod(number, base)
          unit = 10 ** (_form(column).decimals or 0)
          cells[row] = written((first + place) / unit if unit > 1 else float(first + place), _form(column))
        cells[row] = _styled(cells[row], style, _form(column))
    columns.append(cells)
  return columns


def _num_bytes(below: int) -> int:
  return ((below - 1).bit_length() + 7) // 8


def _form(column: Column) -> Form:
  return column.form or Form()


def _number(cell: str, column: Column) -> float:
  return number_of(cell, _form(column)) or 0.0


def _styled(cell: str, style: str, form: Form) -> str:
  if style == STYLES[0] or form.decimal not in cell:
    return cell
  short = cell.rstrip("0")
  if not short.endswith(form.decimal):
    return short
  return f"{short}0" if style == STYLES[1] else short.removesuffix(form.decimal)
