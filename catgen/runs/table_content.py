"""Tables that are compressed: the rows of a file in parts, each as categories and what they leave open."""

import csv
import io
import math
import re
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int32

from catgen.coding.content import Part, check_encoding, readable
from catgen.data.tabular import exact
from catgen.data.tabular.codec import KIND, Table, table_of
from catgen.data.tabular.grid import shortened, unique_names
from catgen.interfaces import InputError
from catgen.sources import Codec

_SAMPLE = 1000  # rows by which it is told how cells are written
_QUOTED: dict[str, Any] = {"few": csv.QUOTE_MINIMAL, "all": csv.QUOTE_ALL}
_ENDS = ("\n", "\r\n", "\r")
_BREAK = re.compile("\r\n|\r|\n")


class TableContent(NamedTuple):
  """How the file of a table is cut into rows, and made of them again; see `coding.content.Content`."""

  about: dict[str, Any]
  table: Table
  num_rows: int

  def parts(self, file: IO[bytes]) -> Iterator[Part]:
    """Yields so many rows at a time; a part that is written in another way than the file says has no examples."""
    with readable(file, self.about["encoding"]) as lines:
      rows = _Rows(lines, self.about["separator"])
      if self.about["head"]:
        next(rows, None)
      line, told = rows.lines + 1, False
      while some := list(_first(rows, self.num_rows)):
        part = self._part([cells for cells, _ in some], "".join(raw for _, raw in some))
        if part.x is None and not told:  # the first is told; to find it takes its rows one by one
          part = part._replace(odd=self._odd(some, line))
          told = part.odd is not None
        yield part
        line = rows.lines + 1

  def begin(self) -> bytes:
    """Returns what a file begins with, before its parts."""
    return bytes.fromhex(self.about["head"])

  def raw(self, x: Int32[np.ndarray, "rows columns"], num_symbols: int, left: bytes) -> bytes:
    """Returns the bytes of a part whose examples were decoded."""
    columns = exact.decoded(self.table, self.about["styles"], x[: num_symbols // x.shape[1]], left)
    order = [columns[i] for i in self.about["order"]]
    return self._lines([list(row) for row in zip(*order, strict=True)]).encode(self.about["encoding"])

  def valid(self, num_symbols: int) -> Bool[np.ndarray, "rows columns"]:
    """Returns which positions of a part's examples hold its symbols."""
    shape = (self.num_rows, len(self.table.columns))
    return (np.arange(math.prod(shape)) < num_symbols).reshape(shape)

  def _part(self, rows: list[list[str]], raw: str) -> Part:
    content, size = raw.encode(self.about["encoding"]), len(self.table.columns)
    nothing = Part(content, None, None, len(rows) * size)
    if any(len(row) != size for row in rows):
      return nothing
    found = exact.encoded(self.table, self.about["styles"], list(zip(*map(self._ordered, rows), strict=True)))
    if found is None:
      return nothing
    x, left = found
    if self.raw(x, x.size, left.to_bytes()) != content:
      return nothing
    whole = np.zeros((self.num_rows, size), np.int32)
    whole[: len(x)] = x
    return Part(content, whole, self.valid(x.size), x.size, left.to_bytes())

  def _odd(self, rows: list[tuple[list[str], str]], line: int) -> str | None:
    """Returns what keeps the first such row from having examples; None where no row by itself lacks them.

    line: of the file, in which the first of these rows begins.
    """
    for cells, raw in rows:
      if len(cells) != len(self.table.columns):
        return f"line {line} has {len(cells)} cells, not {len(self.table.columns)}: {shortened(raw)}"
      if found := exact.strange(self.table, self._ordered(cells)):
        name, cell, reason = found
        return f"column {name!r} has {shortened(cell)} in line {line}, {reason}"
      if self._part([cells], raw).x is None:
        return f"line {line} has other quotes, or another line break, than most: {shortened(raw)}"
      line += max(1, len(_BREAK.findall(raw)))
    return None

  def _ordered(self, cells: list[str]) -> list[str]:
    """Returns the cells of a row of the file in the order of the model's columns."""
    found = [""] * len(cells)
    for place, cell in zip(self.about["order"], cells, strict=True):
      found[place] = cell
    return found

  def _lines(self, rows: list[list[str]]) -> str:
    return _written(rows, self.about["separator"], self.about["quoted"], self.about["end"])


def is_table(codec: Codec) -> bool:
  """Returns whether examples are rows of a table."""
  return codec.spec["kind"] == KIND


def table_content(about: dict[str, Any], codec: Codec, num_rows: int) -> TableContent:
  """Returns the content of what a header says."""
  return TableContent(about, table_of(codec.spec), num_rows)


def about_table(file: IO[bytes], codec: Codec, encoding: str, path: str) -> dict[str, Any]:
  """Returns what a header says of a table; see `coding.content.Content.about`.

  Raises:
    InputError: columns are others than the model's, or their numbers cannot be made again from categories.
  """
  table = table_of(codec.spec)
  exact.check(table)
  check_encoding(encoding)
  with readable(file, encoding) as lines:
    rows = _Rows(lines, table.separator)
    head = next(rows, (table.names, "")) if table.header else (table.names, "")
    sample = list(_first(rows, _SAMPLE))
  names = unique_names(head[0])
  if sorted(names) != sorted(table.names):
    strange = next((name for name in names if name not in table.names), None)
    said = f"has column {strange!r}, which the model has not" if strange else "lacks columns of the model"
    raise InputError(
      f"{path} {said}; a table of the columns {', '.join(table.names[:8])} is needed, cut by {table.separator!r}"
    )
  order = [table.names.index(name) for name in names]
  cells = [[row[names.index(name)] for row, _ in sample if len(row) == len(names)] for name in table.names]
  quoted, end = _way(sample, table.separator)
  return {
    "kind": "table",
    "encoding": encoding,
    "head": head[1].encode(encoding).hex(),
    "separator": table.separator,
    "order": order,
    "styles": [exact.habits_of(table, column, some) for column, some in zip(table.columns, cells, strict=True)],
    "quoted": quoted,
    "end": end,
  }


def _way(sample: list[tuple[list[str], str]], separator: str) -> tuple[str, str]:
  """Returns which cells have quotes and how lines end in most rows of a sample."""
  ways = [(quoted, end) for quoted in _QUOTED for end in _ENDS]

  def alike(way: tuple[str, str]) -> int:
    return sum(_written([cells], separator, *way) == raw for cells, raw in sample)

  return max(ways, key=alike)


def _written(rows: list[list[str]], separator: str, quoted: str, end: str) -> str:
  text = io.StringIO(newline="")
  csv.writer(text, delimiter=separator, lineterminator=end, quoting=_QUOTED[quoted]).writerows(rows)
  return text.getvalue()


class _Rows:
  """Yields the cells of each row and the text that they were read from, line breaks and quotes included."""

  def __init__(self, lines: Iterator[str], separator: str) -> None:
    self.lines = 0  # that were read
    self._seen: list[str] = []
    self._reader = csv.reader(self._remembered(lines), delimiter=separator)

  def __iter__(self) -> "_Rows":
    return self

  def __next__(self) -> tuple[list[str], str]:
    try:
      cells = next(self._reader)
    except csv.Error:  # no table, but text that is stored as it is
      cells = []
    raw = "".join(self._seen)
    self._seen.clear()
    return cells, raw

  def _remembered(self, lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
      self._seen.append(line)
      self.lines += 1
      yield line if number else line.removeprefix("\ufeff")


def _first(rows: _Rows, number: int) -> Iterator[tuple[list[str], str]]:
  for _, row in zip(range(number), rows, strict=False):
    yield row
