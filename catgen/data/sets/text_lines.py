"""A file with one record a line: sentences, proteins, DNA."""

from collections.abc import Sequence

import numpy as np

from catgen.data.labels import numbered
from catgen.data.reading import FileBytes, as_utf8, byte_counts, open_bytes
from catgen.data.records import Records, record_source
from catgen.data.splits import BLOCK, SPLIT_RULE, blocks
from catgen.interfaces import InputError
from catgen.sources import DataSource


def text_lines(
  path: str,
  length: int = 256,
  alphabet: str = "infer",
  splits: Sequence[float | int] = (0.9, 0.05, 0.05),
  longer: str = "refuse",
  max_bytes: int | None = None,
  label_column: int | None = None,
  separator: str = "\t",
  encoding: str = "utf-8",
  end: bool = False,
  split_rule: int = SPLIT_RULE,
) -> DataSource:
  """Returns one record a line, padded to `length` with valid = False. Blank lines are skipped.

  Args:
    path: text or bytes, memory-mapped (.gz, .xz, .bz2: unpacked). Only "\\n" and "\\r\\n" break lines.
    length: positions of a record, at least 1; with `end` one of them is the end.
    alphabet: "infer" (the file's characters, sorted), "bytes", "text8", or the characters themselves.
    splits: of train, validation, test. Fractions: a hash of the record decides, see `split_rule`, and the order of
      the file has no influence. Counts: in the order of the file.
    longer: what happens to longer records: "refuse", "cut", "drop", or "windows": they become several, of one split
      where splits are fractions.
    max_bytes: use only so many bytes from the beginning; a line cut by it is left out.
    label_column: 0 or -1: the first or the last field of each line is its label and no part of the record; empty, it is
      not given. None: lines have no labels.
    separator: what stands between a label and its record.
    encoding: of a file without a byte order mark: "utf-8", "utf-16-le", "latin-1", "cp1252" ...
    end: True: one more category marks the end and fills up the record, so that likelihood and samples cover the
      length. False: both are given the length.
    split_rule: what fractions hash. 4: the record's categories and which copy of them it is, so that each split is a
      sample of the same law. 3: the categories alone, so that equal records never lie in two splits: the choice where
      repeats are copies of the same thing, which a test would find learned by heart. 1 or 2: its bytes in UTF-8, as
      before.
  """
  is_bytes = alphabet == "bytes"
  if is_bytes and encoding != "utf-8":
    raise InputError(f'alphabet="bytes" takes a file as it is; leave out encoding={encoding!r}, or choose an alphabet')
  file = open_bytes(path, max_bytes)
  file, texts = _without_labels(file if is_bytes else as_utf8(file, encoding), label_column, separator)
  records = _lines(file)
  if texts is not None:
    records = records._replace(labels=numbered("label", {"": texts}))
  return record_source(
    records, length=length, alphabet=alphabet, splits=splits, longer=longer, end=end, split_rule=split_rule
  )


def _without_labels(file: FileBytes, column: int | None, separator: str) -> tuple[FileBytes, list[str] | None]:
  """Returns a file, in memory, without the label of each line, and the labels of the lines that are not blank."""
  if column is None:
    return file, None
  if column not in (0, -1) or not separator:
    raise InputError(
      f"label_column is {column} and separator {separator!r}; a label is the first (0) or the last (-1) field of a line"
    )
  lines, mark = file.data.tobytes().split(b"\n"), separator.encode()
  if not file.complete:
    lines[-1] = b""  # what max_bytes has cut is no line
  texts = []
  for i, line in enumerate(lines):
    if line in (b"", b"\r"):
      continue
    first, found, last = line.partition(mark) if column == 0 else line.rpartition(mark)
    label, lines[i] = (first, last) if column == 0 else (last, first)
    if not found or lines[i] in (b"", b"\r"):
      missing = "text beside its label" if found else f"separator {separator!r} between label and text"
      raise InputError(f"{file.path}: line {i + 1} has no {missing}; correct it, label_column or separator")
    texts.append(label.decode("utf-8", "replace").strip())
  if not texts:
    raise InputError(f"{file.path} has no complete line that is not blank; bring one record a line")
  return FileBytes(file.path, np.frombuffer(b"\n".join(lines), np.uint8), True), texts


def _lines(file: FileBytes) -> Records:
  """Returns the lines that are not blank; a carriage return before the line break belongs to the break."""
  data = file.data
  breaks = [np.flatnonzero(block == ord("\n")) + i * BLOCK for i, block in enumerate(blocks(data))]
  end = [np.array([data.size])] if file.complete else []  # what max_bytes has cut is no line
  stop = np.concatenate([*breaks, *end]).astype(np.int64)
  start = np.concatenate([[0], stop[:-1] + 1]).astype(np.int64)[: stop.size]
  has_return = (stop > start) & (data[np.maximum(stop - 1, 0)] == ord("\r"))
  returns_inside = bool(byte_counts(data)[ord("\r")] > has_return.sum())
  stop = stop - has_return
  kept = stop > start
  if not kept.any():
    raise InputError(f"{file.path} has no complete line that is not blank; bring one record a line")
  start, stop = start[kept], stop[kept]

  def place(i: int) -> str:
    breaks_before = np.count_nonzero(data[: start[i]] == ord("\n"))
    return f"line {int(breaks_before) + 1}"

  between = "\n" if returns_inside else "\n\r"
  note = '; the first line begins with ">": for FASTA take the kind "fasta"' if data[start[0]] == ord(">") else ""
  return Records(file, start, stop, "lines", place, between, note=note)
