"""A table with one record a row: CSV, TSV or JSON lines, of which one column is the text and others are labels."""

import contextlib
import csv
import itertools
import json
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from catgen.data.labels import Labels, numbered
from catgen.data.reading import FileBytes, kept, lines_of, open_text
from catgen.data.records import Records, record_source
from catgen.data.splits import SPLIT_RULE
from catgen.interfaces import InputError
from catgen.paths import ending_of
from catgen.sources import DataSource

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = (".jsonl", ".ndjson")
_PACKED = (".gz", ".xz", ".bz2")


class _Row(NamedTuple):
  """What is taken of a row."""

  line: int  # of the file, the last one of the row
  text: str
  labels: list[str]


def text_table(
  path: str,
  text: str = "text",
  labels: Sequence[str] = (),
  length: int = 256,
  alphabet: str = "infer",
  splits: Sequence[float | int] = (0.9, 0.05, 0.05),
  longer: str = "refuse",
  separator: str | None = None,
  quote: str = '"',
  encoding: str = "utf-8",
  end: bool = False,
  split_rule: int = SPLIT_RULE,
) -> DataSource:
  """Returns one record a row. Rows whose text is empty are left out, and counted in the description.

  Args:
    path: .csv, .tsv or .jsonl (.gz, .xz, .bz2: unpacked). A field of CSV and TSV may hold anything between quotes.
    text: the column of the records: its name, as the first row or the keys of the objects say, or its number from 0
      (-1: the last) in a table without such a row.
    labels: columns, in the same way, each of which is a label; empty, null or missing, it is not given.
    length: positions of a record, at least 1; with `end` one of them is the end.
    alphabet: "infer" (the characters that occur, sorted), "bytes" (of UTF-8), "text8", or the characters themselves.
    splits: of train, validation, test. Fractions: a hash of the record decides, see `split_rule`, and the order of
      the file has no influence. Counts: in the order of the file.
    longer: what happens to longer records: "refuse", "cut", "drop", or "windows": they become several, of one split
      where splits are fractions.
    separator: of the fields; None: a comma for .csv, a tab for .tsv.
    quote: stands around fields that hold separators or line breaks, and twice inside them; "" where quotes are text.
    encoding: of a file without a byte order mark: "utf-8", "utf-16-le", "latin-1", "cp1252" ...
    end: True: one more category marks the end and fills up the record, so that likelihood and samples cover the
      length. False: both are given the length.
    split_rule: as in `text_lines`.
  """
  name = path.lower()
  form = ending_of(name.removesuffix(next((end for end in _PACKED if name.endswith(end)), "")))
  if form not in (*_SEPARATORS, *_JSON_LINES):
    raise InputError(f"{path} is no table that can be read; give a .csv, .tsv or .jsonl file")
  file, columns = open_text(path, encoding), [text, *labels]
  if form in _JSON_LINES:
    rows = _json_rows(file, columns)
  else:
    rows = _delimited_rows(file, columns, _SEPARATORS[form] if separator is None else separator, quote)
  return record_source(
    _records(file, rows, labels),
    length=length,
    alphabet=alphabet,
    splits=splits,
    longer=longer,
    end=end,
    split_rule=split_rule,
  )


def _records(file: FileBytes, rows: Iterator[_Row], names: Sequence[str]) -> Records:
  """Returns the rows with a text as records."""
  lines: list[int] = []
  sizes: list[int] = []
  labels: list[list[str]] = []
  empty = 0

  def texts() -> Iterator[bytes]:
    nonlocal empty
    for row in rows:
      if not row.text:
        empty += 1
        continue
      content = _utf8(file, row)
      lines.append(row.line)
      sizes.append(len(content))
      labels.append(row.labels)
      yield content

  data = kept(texts())
  if not sizes:
    raise InputError(f"{file.path} has no row with a text; bring at least one")
  stop = np.cumsum(sizes)
  found = [numbered(name, {"": [row[i] for row in labels]}) for i, name in enumerate(names)]
  joined = Labels(
    tuple(attribute for each in found for attribute in each.attributes),
    {"": np.concatenate([each.numbers[""] for each in found], axis=1)},
  ) if found else None  # fmt: skip
  note = f"; {empty:,} rows without a text left out" if empty else ""
  whole = FileBytes(file.path, data, True)
  return Records(whole, stop - sizes, stop, "rows", lambda i: f"the row in line {lines[i]}", labels=joined, note=note)


def _utf8(file: FileBytes, row: _Row) -> bytes:
  try:
    return row.text.encode()
  except UnicodeEncodeError as error:  # \ud800 in JSON
    raise InputError(
      f"{file.path}: the text in line {row.line} has half a character, {row.text[error.start]!a}; correct it"
    ) from error


def _json_rows(file: FileBytes, columns: Sequence[str]) -> Iterator[_Row]:
  for number, line in enumerate(lines_of(file), 1):
    if not line.strip():
      continue
    try:
      fields = json.loads(line)
    except (ValueError, RecursionError) as error:
      raise InputError(f"{file.path}: line {number} is no JSON ({error}); give one object a line") from error
    if not isinstance(fields, dict):
      raise InputError(f"{file.path}: line {number} is no object; give one a line, with the text under a name")
    if columns[0] not in fields:
      raise InputError(f"{file.path}: line {number} has no {columns[0]!r}; it has {', '.join(map(repr, fields))}")
    text, *labels = (fields.get(column) for column in columns)
    if not isinstance(text, str | None):
      raise InputError(
        f"{file.path}: {columns[0]!r} of line {number} is no text but {json.dumps(text)[:40]}; convert it"
      )
    yield _Row(number, text or "", [_label(file, number, label) for label in labels])


def _label(file: FileBytes, number: int, value: Any) -> str:
  if isinstance(value, list | dict):
    raise InputError(f"{file.path}: a label in line {number} is {json.dumps(value)[:40]}; give a text or a number")
  return "" if value is None else value.strip() if isinstance(value, str) else json.dumps(value)


def _delimited_rows(file: FileBytes, columns: Sequence[str], separator: str, quote: str) -> Iterator[_Row]:
  by_number = [re.fullmatch("-?[0-9]{1,18}", column) is not None for column in columns]
  if any(by_number) and not all(by_number):
    raise InputError(f"columns are {', '.join(columns)}; give names, or numbers from 0 where no row names the columns")
  rows: Iterator[tuple[int, list[str]]] = _fields(file, separator, quote)
  first = next(rows, None)
  if first is None:
    raise InputError(f"{file.path} has only blank lines; bring one record a row")
  width = len(first[1])
  if by_number[0]:
    places, rows = _numbers(file.path, first[1], columns, separator), itertools.chain([first], rows)
  else:
    places = _names(file.path, first[1], columns, separator)
  for line, fields in rows:
    if len(fields) != width:
      raise InputError(
        f"{file.path}: the row in line {line} has {len(fields)} fields, the first one {width}; correct it, or "
        f"separator {separator!r}"
      )
    text, *labels = (fields[i] for i in places)
    yield _Row(line, text, [label.strip() for label in labels])


def _numbers(path: str, fields: Sequence[str], columns: Sequence[str], separator: str) -> list[int]:
  numbers = [int(column) for column in columns]
  for number in numbers:
    if not -len(fields) <= number < len(fields):
      raise InputError(
        f"{path} has {len(fields)} columns by separator {separator!r}, no column {number}; correct it, or separator"
      )
  return numbers


def _names(path: str, fields: Sequence[str], columns: Sequence[str], separator: str) -> list[int]:
  names = [field.strip() for field in fields]
  for column in columns:
    if names.count(column) != 1:
      found = "several columns" if column in names else "no column"
      raise InputError(
        f"{path} has {found} {column!r} by separator {separator!r}; its first row has "
        f"{', '.join(map(repr, names))[:200]}"
      )
  return [names.index(column) for column in columns]


def _fields(file: FileBytes, separator: str, quote: str) -> Iterator[tuple[int, list[str]]]:
  """Yields (line, fields) of the rows that are not blank."""
  if len(separator) != 1 or len(quote) > 1 or separator == quote:
    raise InputError(f"separator is {separator!r} and quote {quote!r}; give a character each, or no quote")
  quoting: dict[str, Any] = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
  reader = csv.reader(lines_of(file), delimiter=separator, strict=True, **quoting)
  while True:
    try:
      with fields_of_any_size():
        fields = next(reader, None)
    except csv.Error as error:
      raise InputError(
        f"{file.path}: line {reader.line_num} is no row ({error}); correct it, or say quote='' where quotes are text"
      ) from error
    if fields is None:
      return
    if fields:
      yield reader.line_num, fields


@contextlib.contextmanager
def fields_of_any_size() -> Iterator[None]:
  """Lifts the limit of the csv module, 131,072 characters, which all that read tables share."""
  before = csv.field_size_limit(sys.maxsize)
  try:
    yield
  finally:
    csv.field_size_limit(before)
