"""A file with one record a line: sentences, proteins, DNA."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int32, Int64, Shaped

from catgen.batches import batch_of
from catgen.data.codecs import TEXT8_ALPHABET, alphabet_codec, byte_codec, character_table, code_points, show
from catgen.data.labels import numbered
from catgen.data.reading import (
  FileBytes,
  byte_counts,
  inferred_alphabet,
  open_bytes,
  present_characters,
  without_byte_order_mark,
)
from catgen.data.splits import BLOCK, blocks, fingerprint, record_numbers, record_split
from catgen.given import sizes_of
from catgen.interfaces import Batch, DataSource, EventSpec, InputError, Split

RECORDS_AT_ONCE = 4096


class Lines(NamedTuple):
  """The lines of a file that are not blank: where each starts and stops, its line break left out."""

  file: FileBytes
  start: Int64[np.ndarray, "lines"]
  stop: Int64[np.ndarray, "lines"]
  returns_inside: bool  # whether a carriage return occurs other than before a line break
  labels: Int32[np.ndarray, "lines attributes"] | None = None


def text_lines(
  path: str,
  length: int = 256,
  alphabet: str = "infer",
  splits: Sequence[float | int] = (0.9, 0.05, 0.05),
  longer: str = "refuse",
  max_bytes: int | None = None,
  label_column: int | None = None,
  separator: str = "\t",
) -> DataSource:
  """Returns one record a line, padded to `length` with valid = False. Blank lines are skipped.

  Args:
    path: UTF-8 text or bytes, memory-mapped (.gz, .xz, .bz2: unpacked); only line offsets are kept besides.
    length: positions of a record, at least 1.
    alphabet: "infer" (the file's characters, sorted), "bytes", "text8", or the characters themselves.
    splits: of train, validation, test. Fractions: a hash of the line decides, so that equal lines never lie in two
      splits and the order of the file has no influence. Counts of lines: in the order of the file.
    longer: what happens to lines longer than `length`: "refuse", "cut" or "drop".
    max_bytes: use only so many bytes from the beginning; a line cut by it is left out.
    label_column: 0 or -1: the first or the last field of each line is its label and no part of the record; empty, it is
      not given. None: lines have no labels.
    separator: what stands between a label and its record.
  """
  if longer not in ("refuse", "cut", "drop"):
    raise InputError(f'longer is {longer!r}; it must be "refuse", "cut" or "drop"')
  if length < 1:
    raise InputError(f"length is {length}; it must be at least 1")
  is_bytes = alphabet == "bytes"
  file = open_bytes(path, max_bytes)
  file, texts = _without_labels(file if is_bytes else without_byte_order_mark(file), label_column, separator)
  lines = _find_lines(file)
  labels = None if texts is None else numbered("label", {"": texts})
  if labels is not None:
    lines = lines._replace(labels=labels.numbers[""])
  if not is_bytes:
    alphabet = _checked_alphabet(lines, TEXT8_ALPHABET if alphabet == "text8" else alphabet)
  one_byte = is_bytes or not byte_counts(lines.file.data)[128:].any()
  lines, lengths = _fit(lines, length, longer, one_byte)
  data = lines.file.data
  codec = byte_codec() if is_bytes else alphabet_codec(alphabet)
  num_classes = 256 if is_bytes else len(alphabet)
  numbers = record_numbers(
    len(lines.start), splits, f"lines of {lines.file.path}", lambda i: data[lines.start[i] : lines.stop[i]].tobytes()
  )
  table = np.arange(256, dtype=np.uint8) if is_bytes else character_table(alphabet)
  attributes = () if labels is None else labels.attributes
  sizes = sizes_of(attributes)
  parts = {name: _line_split(lines, chosen, length, table, one_byte, sizes) for name, chosen in numbers.items()}
  given = {name: lines.labels[chosen] for name, chosen in numbers.items()} if lines.labels is not None else None
  num_bytes = int((lines.stop - lines.start).sum())
  return DataSource(
    event=EventSpec((length,), num_classes, sizes),
    splits=parts,
    codec=codec,
    position="byte" if is_bytes else "character",
    bytes_per_position=1.0 if one_byte else num_bytes / int(lengths.sum()),
    fingerprint=fingerprint(
      {name: _records_in_order(split) for name, split in parts.items()}, num_classes + 1, attributes, given
    ),
    description=f"{lines.file.path}: {len(lines.start):,} lines, {num_classes} {'bytes' if is_bytes else 'characters'}",
    attributes=attributes,
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


def _find_lines(file: FileBytes) -> Lines:
  """Returns the lines that are not blank; a carriage return before the line break belongs to the break."""
  breaks = [np.flatnonzero(block == ord("\n")) + i * BLOCK for i, block in enumerate(blocks(file.data))]
  end = [np.array([file.data.size])] if file.complete else []  # what max_bytes has cut is no line
  stop = np.concatenate([*breaks, *end]).astype(np.int64)
  start = np.concatenate([[0], stop[:-1] + 1]).astype(np.int64)[: stop.size]
  has_return = (stop > start) & (file.data[np.maximum(stop - 1, 0)] == ord("\r"))
  returns_inside = bool(byte_counts(file.data)[ord("\r")] > has_return.sum())
  stop = stop - has_return
  kept = stop > start
  if not kept.any():
    raise InputError(f"{file.path} has no complete line that is not blank; bring one record a line")
  return Lines(file, start[kept], stop[kept], returns_inside)


def _checked_alphabet(lines: Lines, alphabet: str) -> str:
  """Returns the alphabet, inferred if so wished; raises InputError naming the first line with a character outside."""
  file = lines.file
  present = present_characters(file)
  present[ord("\n")] = False
  present[ord("\r")] &= lines.returns_inside
  if alphabet == "infer":
    return inferred_alphabet(np.flatnonzero(present), file.path)
  present[code_points(alphabet)] = False
  unknown = set(map(chr, np.flatnonzero(present).tolist()))
  if unknown:
    for start, stop in zip(lines.start, lines.stop, strict=True):
      text = file.data[start:stop].tobytes().decode()
      outside = [i for i, character in enumerate(text) if character in unknown]
      if outside:
        number = int(np.count_nonzero(file.data[:start] == ord("\n"))) + 1
        raise InputError(
          f"{file.path}: character {text[outside[0]]!r} at offset {outside[0]} of line {number} is not in the "
          f"alphabet {show(alphabet)}; remove it or choose an alphabet that has it"
        )
  return alphabet


def _fit(lines: Lines, length: int, longer: str, one_byte: bool) -> tuple[Lines, Int64[np.ndarray, "_"]]:
  """Returns the lines that are used and their positions, before any cut."""
  lengths = lines.stop - lines.start if one_byte else _count_characters(lines)
  too_long = lengths > length
  if too_long.any() and longer == "refuse":
    raise InputError(
      f"{lines.file.path} has {int(too_long.sum()):,} lines longer than length = {length} (the longest: "
      f'{int(lengths.max()):,}); raise length, or say longer="cut" or longer="drop"'
    )
  if longer == "drop":
    if too_long.all():
      raise InputError(f"{lines.file.path} has only lines longer than length = {length}; raise length")
    labels = None if lines.labels is None else lines.labels[~too_long]
    lines = lines._replace(start=lines.start[~too_long], stop=lines.stop[~too_long], labels=labels)
    lengths = lengths[~too_long]
  return lines, lengths


def _count_characters(lines: Lines) -> Int64[np.ndarray, "lines"]:
  """Returns the UTF-8 characters of each line: its bytes that do not continue one."""
  counts = np.empty(lines.start.shape, np.int64)
  for first in range(0, counts.size, RECORDS_AT_ONCE):
    chosen = slice(first, first + RECORDS_AT_ONCE)
    begin, end = lines.start[chosen], lines.stop[chosen]
    starts = (lines.file.data[begin[0] : end[-1]] & 0xC0) != 0x80
    before = np.concatenate([[0], np.cumsum(starts)])
    counts[chosen] = before[end - begin[0]] - before[begin - begin[0]]
  return counts


def _line_split(
  lines: Lines,
  chosen: Int[np.ndarray, "records"],
  length: int,
  table: Shaped[np.ndarray, "values"],
  one_byte: bool,
  sizes: tuple[int, ...],
) -> Split:
  data = lines.file.data
  start, stop = lines.start[chosen], lines.stop[chosen]
  labels = None if lines.labels is None else lines.labels[chosen]

  def read(numbers: Int[np.ndarray, "n"]) -> Batch:
    x = np.zeros((len(numbers), length), np.int32)
    valid = np.zeros(x.shape, bool)
    for row, (begin, end) in enumerate(zip(start[numbers].tolist(), stop[numbers].tolist(), strict=True)):
      line = data[begin : min(end, begin + 4 * length)]  # a character has at most four bytes
      values = line if one_byte else code_points(line.tobytes().decode("utf-8", "ignore"))
      ids = table[values[:length]]
      x[row, : ids.size], valid[row, : ids.size] = ids, True
    return batch_of(x, valid, index=numbers, given=None if labels is None else labels[numbers])

  return record_split(len(chosen), read, sizes)


def _records_in_order(split: Split) -> Iterator[Int32[np.ndarray, "_ length"]]:
  """Yields the records of a split for the fingerprint: categories plus one, 0 for padding."""
  for first in range(0, split.num_examples, RECORDS_AT_ONCE):
    batch = split.examples(np.arange(first, min(first + RECORDS_AT_ONCE, split.num_examples)))
    yield np.where(batch.valid, batch.x + 1, 0)
