"""Rows of a table as categories and what these leave open, from which the same cells are made again, sign by sign.

A category says a cell but for two things. A number of a bin is one of the numbers with so many decimals as the column
has: its place among them is left over. And most values can be spelled in several ways (0, 0.0 and 0.00; an empty cell
and NA): which, is left over where a column has spellings of which more than one is possible. Both are symbols of one
whole number for all rows, a place evenly and a spelling by how often it was seen before.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32

from catgen.bounds import bits_per_position
from catgen.data.tabular.bins import Bins, span
from catgen.data.tabular.cells import TRUTH, Form, number_of, written
from catgen.data.tabular.codec import Table
from catgen.data.tabular.columns import NUMERIC, Column, category_of, decode
from catgen.interfaces import InputError

STYLES = ("fixed", "trimmed", "bare")  # 12.50, 12.00; 12.5, 12.0; 12.5, 12: what files of format 1 say of a column
_RANKS = 2  # decimals of a rank that is a number: 1, 1.0, 1.00

Habits = Mapping[str, Sequence[int]]  # what kind of value, and how often each of its spellings was seen


class Left(NamedTuple):
  """What categories leave open: a whole number, and how many bits it needs by the shares of its symbols."""

  number: int
  bits: float

  def to_bytes(self) -> bytes:
    """Returns the number in as many bytes as it needs."""
    return self.number.to_bytes((self.number.bit_length() + 7) // 8, "little")


class _Symbol(NamedTuple):
  """One of `total` equal parts of a whole: those from `first` on, `share` of them."""

  first: int
  share: int
  total: int


def _joined(symbols: Sequence[_Symbol]) -> Left:
  """Returns symbols as one whole number, the first of them in its remainder: it is taken first again."""
  number = 0
  for first, share, total in reversed(symbols):
    whole, rest = divmod(number, share)
    number = whole * total + first + rest
  nats = sum(math.log(total / share) for _, share, total in symbols)
  return Left(number, bits_per_position(nats, 1))


class _Rest:
  """What is left of a whole number, of which symbols are taken in the order in which they were joined."""

  def __init__(self, number: int) -> None:
    self._number = number

  def take(self, shares: Sequence[int]) -> int:
    """Returns which symbol is next, by the shares of all."""
    whole, rest = divmod(self._number, sum(shares))
    symbol = 0
    while rest >= shares[symbol]:
      rest -= shares[symbol]
      symbol += 1
    self._number = whole * shares[symbol] + rest
    return symbol

  def place(self, total: int) -> int:
    """Returns which of so many equal symbols is next."""
    self._number, found = divmod(self._number, total)
    return found


class _Seen:
  """How often each spelling of a kind of value was seen: in the header, and in the rows before."""

  def __init__(self, habits: Habits) -> None:
    self._counts: dict[str, list[int]] = {kind: list(counts) for kind, counts in habits.items()}

  def shares(self, kind: str, number: int) -> list[int]:
    """Returns the share of each spelling, at least 1."""
    return [2 * count + 1 for count in self._of(kind, number)]

  def add(self, kind: str, number: int, spelling: int) -> None:
    """Counts one more."""
    self._of(kind, number)[spelling] += 1

  def _of(self, kind: str, number: int) -> list[int]:
    return self._counts.setdefault(f"{kind} {number}", [0] * number)

  def counts(self) -> dict[str, list[int]]:
    """Returns all counts."""
    return self._counts


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


def habits_of(table: Table, column: Column, cells: Sequence[str]) -> dict[str, list[int]]:
  """Returns how often each spelling of a column's values was seen among cells, by the kind of value."""
  seen, own = _Seen({}), _Cells(table, column)
  for cell, value in zip(cells, own.values(cells), strict=True):
    if value is not None and cell in value.spellings and len(value.spellings) > 1:
      seen.add(value.kind, len(value.spellings), value.spellings.index(cell))
  return seen.counts()


def encoded(
  table: Table, habits: Sequence[Habits], columns: Sequence[Sequence[str]]
) -> tuple[Int32[np.ndarray, "rows columns"], Left] | None:
  """Returns the categories of cells and what they leave open; None where a cell would not come back as it is.

  Args:
    table: what the columns are.
    habits: of each column, as `habits_of` gives them.
    columns: the cells of each column.
  """
  found, symbols = [], []
  for column, cells, known in zip(table.columns, columns, habits, strict=True):
    seen, own, categories = _Seen(known), _Cells(table, column), []
    for cell, value in zip(cells, own.values(cells), strict=True):
      if value is None or cell not in value.spellings:
        return None
      categories.append(value.category)
      symbols.append(_Symbol(value.place, 1, own.base(value.category)))
      if len(value.spellings) > 1:
        spelling, shares = value.spellings.index(cell), seen.shares(value.kind, len(value.spellings))
        symbols.append(_Symbol(sum(shares[:spelling]), shares[spelling], sum(shares)))
        seen.add(value.kind, len(value.spellings), spelling)
    found.append(categories)
  return np.array(found, np.int32).T, _joined(symbols)


def strange(table: Table, cells: Sequence[str]) -> tuple[str, str, str] | None:
  """Returns of a row the first cell that would not come back: its column's name, the cell, and why; None: all do."""
  for column, cell in zip(table.columns, cells, strict=True):
    (value,) = _Cells(table, column).values([cell])
    if value is None:
      beyond = column.kind == NUMERIC and number_of(cell, _form(column)) is not None
      return column.name, cell, "which lies beyond the model's bins" if beyond else "which the model has not"
    if cell not in value.spellings:
      return column.name, cell, f"which the model would write {value.spellings[0]!r}"
  return None


def decoded(
  table: Table, habits: Sequence[Habits | str], x: Int32[np.ndarray, "rows columns"], left: bytes
) -> list[list[str]]:
  """Returns the cells of categories and of what they left open, column by column.

  Args:
    table: what the columns are.
    habits: what `encoded` was given; of files of format 1 one of STYLES for each column.
    x: the categories.
    left: the whole number.
  """
  rest, columns = _Rest(int.from_bytes(left, "little")), []
  for column, categories, known in zip(table.columns, x.T, habits, strict=True):
    seen, own, cells = _Seen({} if isinstance(known, str) else known), _Cells(table, column), []
    for category in categories.tolist():
      value = own.value(category, rest.place(own.base(category)))
      if isinstance(known, str):
        cells.append(_styled(value, known, _form(column)))
      elif len(value.spellings) == 1:
        cells.append(value.spellings[0])
      else:
        spelling = rest.take(seen.shares(value.kind, len(value.spellings)))
        seen.add(value.kind, len(value.spellings), spelling)
        cells.append(value.spellings[spelling])
    columns.append(cells)
  return columns


class _Value(NamedTuple):
  """What a cell says, and all ways to say it, the column's own first."""

  category: int
  place: int  # among the numbers of a bin
  kind: str
  spellings: tuple[str, ...]


_NUMBERS = _BIN, _POINT = "bin", "point"
_NOTHING, _OTHERS = "missing", "value"


class _Cells:
  """The cells that the categories of a column can be."""

  def __init__(self, table: Table, column: Column) -> None:
    self._column, self._missing, self._form = column, table.missing, _form(column)
    numeric = column.kind == NUMERIC
    self._spans = _spans(column.bins, self._form.decimals or 0) if numeric else ()
    self._shown = decode(column, np.arange(column.size), np.zeros(column.size))
    self._made: dict[int, _Value] = {}

  def base(self, category: int) -> int:
    """Returns how many numbers a category has: 1 but for bins."""
    return self._spans[category][1] if 0 <= category < len(self._spans) else 1

  def values(self, cells: Sequence[str]) -> list[_Value | None]:
    """Returns what each cell says; None where it has no category, or lies beyond the bins."""
    found: list[_Value | None] = []
    for cell, category in zip(cells, category_of(self._column, cells, self._missing).tolist(), strict=True):
      place = 0
      if 0 <= category < len(self._spans):
        units = round((number_of(cell, self._form) or 0.0) * 10 ** (self._form.decimals or 0))
        place = units - self._spans[category][0]
      inside = category >= 0 and 0 <= place < self.base(category)
      found.append(self.value(category, place) if inside else None)
    return found

  def value(self, category: int, place: int) -> _Value:
    """Returns what a cell of a category says, in a bin at a place."""
    if 0 <= category < len(self._spans):
      unit, number = 10 ** (self._form.decimals or 0), self._spans[category][0] + place
      spellings = _spelled(number / unit if unit > 1 else float(number), self._form)
      return _Value(category, place, _BIN, spellings)
    if category not in self._made:
      self._made[category] = self._other(category)
    return self._made[category]

  def _other(self, category: int) -> _Value:
    shown = self._shown[category]
    if self._column.missing is not None and category == self._column.size - 1:
      return _Value(category, 0, _NOTHING, _distinct(shown, "", *sorted(self._missing)))
    if self._column.kind == NUMERIC and category < self._column.known:
      return _Value(category, 0, _POINT, _spelled(self._column.bins.points[category - len(self._spans)], self._form))
    number = None if self._column.form is None else number_of(shown, self._form)
    if number is not None and self._form.date is None:  # a rank that is a number
      more = self._form._replace(decimals=max(_RANKS, self._form.decimals or 0))
      return _Value(category, 0, _OTHERS, _distinct(shown, *_spelled(number, more)))
    ways = (shown.lower(), shown.upper(), shown.capitalize()) if shown.lower() in TRUTH else ()
    return _Value(category, 0, _OTHERS, _distinct(shown, *ways))


def _spelled(number: float, form: Form) -> tuple[str, ...]:
  """Returns the ways in which a number can be written: with fewer zeros at the end, with thousands set apart or not."""
  ways = [written(number, form)]
  if form.date is not None:
    return tuple(ways)
  if form.grouped:
    ways.append(written(number, form._replace(grouped=False)))
  if form.decimals:
    for way in ways[:]:
      while form.decimal in way and way[-1] in ("0", form.decimal):
        way = way[:-1]
        if way[-1] != form.decimal:
          ways.append(way)
  return _distinct(*ways)


def _distinct(*texts: str) -> tuple[str, ...]:
  return tuple(dict.fromkeys(texts))


@functools.lru_cache(maxsize=256)
def _spans(bins: Bins, decimals: int) -> tuple[tuple[int, int], ...]:
  """Returns the first number of each bin, in units of the last decimal, and how many it has."""
  return tuple(span(category, bins, decimals) for category in range(bins.number))


def _form(column: Column) -> Form:
  return column.form or Form()


def _styled(value: _Value, style: str, form: Form) -> str:
  cell = value.spellings[0]
  if style == STYLES[0] or form.decimal not in cell or value.kind not in _NUMBERS:
    return cell
  short = cell.rstrip("0")
  if not short.endswith(form.decimal):
    return short
  return f"{short}0" if style == STYLES[1] else short.removesuffix(form.decimal)
