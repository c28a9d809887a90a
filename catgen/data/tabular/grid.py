"""A table in memory, column by column: the texts that differ once each and their numbers, or numbers alone."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int, Shaped

from catgen.data.integers import integer_dtype
from catgen.data.tabular.cells import (
  DATES,
  MIDNIGHT,
  TIMES,
  Form,
  content_of,
  form_of,
  is_missing,
  number_bytes,
  number_of,
  numbers_of,
  widened,
)
from catgen.interfaces import InputError

MANY = 2**16  # different texts of a column, from which on it is kept as numbers if all of them are
MOST = 2**17  # different texts of a column that are no numbers
_ISO = (DATES[0], *TIMES)
_SHOWN = 40
BEGUN = "which launch.columns --output=schema.json begins"


class Cells(NamedTuple):
  """The cells of a column, without the blanks around them."""

  texts: tuple[str, ...]  # that differ
  codes: Int[np.ndarray, "rows"]  # which of them each cell is
  numbers: Float64[np.ndarray, "rows"] | None = None  # in place of both, NaN where nothing is; see `Form`
  form: Form = Form()  # of numbers
  nothing: str = ""  # how numbers that are missing are written most often


class Grid(NamedTuple):
  """A table that was read."""

  path: str
  names: tuple[str, ...]
  columns: list[Cells]
  place: Callable[[int], str]  # where a user finds row number i, from 0: "line 3"
  separator: str = ","
  decimal: str = "."

  @property
  def rows(self) -> int:
    """How many there are."""
    cells = self.columns[0]
    return len(cells.codes if cells.numbers is None else cells.numbers)


class Chunk(NamedTuple):
  """Some rows of a table, or of some of its columns, as texts."""

  columns: Sequence[Sequence[str]]


class Layout(NamedTuple):
  """How the cells of a table are read."""

  missing: frozenset[str]
  decimal: str = "."
  texts: frozenset[str] = frozenset()  # names of columns that stay texts, however many of them differ
  most: int | None = MOST


class ColumnReader:
  """Takes the cells of one column chunk by chunk; strings are kept once each, and none of a column of many numbers."""

  def __init__(self, path: str, name: str, layout: Layout, place: Callable[[int], str]) -> None:
    self._path, self._name, self._layout, self._place = path, name, layout, place
    self._index: dict[str, int] = defaultdict()
    self._index.default_factory = self._index.__len__
    self._codes: list[np.ndarray] = []
    self._numbers: list[np.ndarray] | None = None
    self._form, self._nothing = Form(decimal=layout.decimal), ""
    self._settled = name in layout.texts or layout.most is None
    self._rows = 0

  def add(self, cells: Sequence[str]) -> None:
    """Takes the next cells. Raises InputError where a text stands among very many numbers, or too many differ."""
    if self._numbers is not None:
      self._numbers.append(self._parsed(list(map(str.strip, cells))))
    else:
      found = np.fromiter(map(self._index.__getitem__, map(str.strip, cells)), np.int32, len(cells))
      self._codes.append(found.astype(integer_dtype(len(self._index))))
      if len(self._index) > MANY:
        self._settle()
    self._rows += len(cells)

  def result(self) -> Cells:
    """Returns all cells."""
    if self._numbers is not None:
      return Cells((), np.zeros(0, np.int32), np.concatenate(self._numbers), self._form, self._nothing)
    codes = np.concatenate(self._codes) if self._codes else np.zeros(0, np.int32)
    return Cells(tuple(self._index), codes.astype(integer_dtype(len(self._index))))

  def _settle(self) -> None:
    if self._layout.most is not None and len(self._index) > self._layout.most:
      raise InputError(
        f"{self._path}: column {self._name!r} has more than {self._layout.most:,} different texts, which are no"
        f" categories; leave it out by drop={self._name}"
      )
    if self._settled:
      return
    self._settled = True
    texts, missing = list(self._index), self._layout.missing
    known = [text for text in texts if not is_missing(text, missing)]
    try:
      form = form_of(known, self._layout.decimal)
    except ValueError:
      return
    if form is None or (form.date is not None and form.date not in _ISO):
      return
    self._form = form
    codes = np.concatenate(self._codes)
    counts = np.bincount(codes, minlength=len(texts))
    nothing = [(-counts[i], text) for i, text in enumerate(texts) if is_missing(text, missing)]
    self._nothing = min(nothing)[1] if nothing else ""
    self._numbers = [self._parsed(texts)[codes]]
    self._index, self._codes = {}, []

  def _parsed(self, texts: list[str]) -> Float64[np.ndarray, "n"]:
    missing, form = self._layout.missing, self._form
    known = [text for text in texts if not is_missing(text, missing)]
    found = numbers_of(known, form)
    if found is None:
      wrong = next(i for i, text in enumerate(texts) if not is_missing(text, missing) and number_of(text, form) is None)
      raise mixed(self._path, self._name, self._place(self._rows + wrong), texts[wrong], form)
    self._form = widened(form, found[1])
    if len(known) == len(texts):
      return found[0]
    numbers = np.full(len(texts), np.nan)
    numbers[[not is_missing(text, missing) for text in texts]] = found[0]
    return numbers


class UnsettledError(InputError):
  """A column that may be one thing or another, which a schema can say.

  Args:
    doubt: what is not known.
    remedy: what to do.
    name: of the column.
    guess: fields of a schema that say what the column most probably is.
  """

  def __init__(self, doubt: str, remedy: str, name: str, guess: Mapping[str, str]) -> None:
    super().__init__(f"{doubt}; {remedy}")
    self.doubt, self.name, self.guess = doubt, name, guess


def mixed(path: str, name: str, place: str, text: str, form: Form) -> UnsettledError:
  """Returns the line for a text that stands in a column of numbers, or of dates."""
  kind = "numbers" if form.date is None else f"dates {form.date}"
  return UnsettledError(
    f"{path}: column {name!r} has {kind}, but in {place} {shortened(text)}",
    "correct it, name it in missing=... if it means nothing, say decimal=... if it is a number, or call the column"
    f" categorical in a schema, {BEGUN}",
    name,
    {"kind": "categorical"},
  )


def shortened(text: str) -> str:
  """Returns a cell for a message."""
  return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def read_grid(
  path: str,
  names: Sequence[str],
  chunks: Iterable[Chunk],
  layout: Layout,
  place: Callable[[int], str],
  separator: str = ",",
) -> Grid:
  """Returns the table that chunks of all columns are. Raises InputError where it has no rows, or see `ColumnReader`."""
  readers = [ColumnReader(path, name, layout, place) for name in names]
  rows = 0
  for chunk in chunks:
    for reader, cells in zip(readers, chunk.columns, strict=True):
      reader.add(cells)
    rows += len(chunk.columns[0])
  if not rows:
    raise InputError(f"{path} has no rows; bring at least one below the names of the columns")
  columns = []
  while readers:
    columns.append(readers.pop(0).result())
  return Grid(path, tuple(names), columns, place, separator, layout.decimal)


def without_midnight(cells: Cells, missing: frozenset[str]) -> Cells:
  """Returns a column of moments as one of days where all of them are midnight, as they are otherwise."""
  if cells.numbers is not None:  # more days than a calendar has years for
    return cells
  known = [text for text in cells.texts if not is_missing(text, missing)]
  if not known or not all(text.endswith(MIDNIGHT) for text in known):
    return cells
  return cells._replace(texts=tuple(text.removesuffix(MIDNIGHT) for text in cells.texts))


def contents(
  columns: Sequence[Cells], decimal: str, missing: frozenset[str], rows: int
) -> Callable[[slice], Shaped[np.ndarray, "n columns"]]:
  """Returns what gives the contents of rows, eight bytes a cell, which do not depend on the container or spelling."""
  tables = [
    None if cells.numbers is not None else _bytes(content_of(text, decimal, missing) for text in cells.texts)
    for cells in columns
  ]

  def block(where: slice) -> Shaped[np.ndarray, "n columns"]:
    found = np.empty((len(range(rows)[where]), len(columns)), "<u8")
    for i, (cells, table) in enumerate(zip(columns, tables, strict=True)):
      if table is not None:
        found[:, i] = table[cells.codes[where]]
      elif cells.numbers is not None:
        days = cells.form.date is not None and "%H" not in cells.form.date
        numbers = (cells.numbers[where] * (86400 if days else 1) + 0.0).astype("<f8")
        numbers[np.isnan(numbers)] = np.frombuffer(number_bytes(np.nan), "<f8")[0]
        found[:, i] = numbers.view("<u8")
    return found

  return block


def spellings(
  columns: Sequence[Cells], decimal: str, missing: frozenset[str], rows: int
) -> Callable[[slice], Shaped[np.ndarray, "n columns"]]:
  """Returns what gives hashes of how the cells of rows are spelled, eight bytes a cell, and 0 where a content has one
  spelling in its column: as 1 and 1.0 may be two categories, for `contents` they are one."""

  def hashed(texts: Sequence[str]) -> Iterator[bytes]:
    found = [content_of(text, decimal, missing) for text in texts]
    several = {content for content, times in Counter(found).items() if times > 1}
    for text, content in zip(texts, found, strict=True):
      digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
      yield digest if content in several else bytes(8)

  tables = [_bytes(hashed(cells.texts)) for cells in columns]

  def block(where: slice) -> Shaped[np.ndarray, "n columns"]:
    found = np.zeros((len(range(rows)[where]), len(columns)), "<u8")
    for i, (cells, table) in enumerate(zip(columns, tables, strict=True)):
      if cells.numbers is None:
        found[:, i] = table[cells.codes[where]]
    return found

  return block


def _bytes(pieces: Iterator[bytes]) -> Shaped[np.ndarray, "texts"]:
  return np.frombuffer(b"".join(pieces), "<u8")


def unique_names(names: Sequence[str]) -> list[str]:
  """Returns names of columns, all different: one without a name is called by its place from 1, and a second "a" a_2.

  >>> unique_names(["a", "", " a ", "a_2"])
  ['a', 'column_2', 'a_3', 'a_2']
  """
  plain = [name.strip() or f"column_{i}" for i, name in enumerate(names, 1)]
  taken, found = set(plain), dict[str, int]()
  for name in plain:
    unique, number = name, found.get(name, 1)
    while unique in found or (unique != name and unique in taken):
      number += 1
      unique = f"{name}_{number}"
    found |= {unique: 1, name: number}
  return list(found)
