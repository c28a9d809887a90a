"""Any text or byte file as a stream of characters or bytes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from catgen.data.characters import TEXT8_ALPHABET, character_table, encode_characters, show
from catgen.data.codecs import alphabet_codec, byte_codec
from catgen.data.reading import (
  FileBytes,
  as_utf8,
  byte_counts,
  decoded,
  inferred_alphabet,
  open_bytes,
  present_characters,
  room_for,
)
from catgen.data.splits import blocks, fingerprint, stream_splits
from catgen.interfaces import EventSpec, InputError
from catgen.sources import DataSource


class CharacterStream(NamedTuple):
  """A file as characters: `table[values]` are categories, or `values` themselves where there is no table."""

  values: Shaped[np.ndarray, "positions"]
  table: Shaped[np.ndarray, "256"] | None
  alphabet: str
  bytes_per_position: float


def text_file(
  path: str,
  length: int = 256,
  alphabet: str = "infer",
  splits: Sequence[float | int] = (0.9, 0.05, 0.05),
  max_bytes: int | None = None,
  encoding: str = "utf-8",
) -> DataSource:
  """Returns a file as one stream, cut into contiguous splits of sequences of `length`.

  Args:
    path: text or any bytes; .gz, .xz and .bz2 are unpacked. Plain ASCII and bytes are memory-mapped, other text is
      decoded once, into a temporary file where it is large.
    length: positions of a sequence, at least 1.
    alphabet: "infer" (the file's characters, sorted), "bytes" (256 values of any file), "text8" (space and a-z), or
      the characters themselves.
    splits: of train, validation, test, in the order of the file: fractions, or counts of positions.
    max_bytes: use only so many bytes from the beginning (after unpacking).
    encoding: of a file without a byte order mark: "utf-8", "utf-16-le", "latin-1", "cp1252" ...

  Characters stay as they are: a line break of Windows is two, "\\r" and "\\n". A line break at the very end is dropped
  unless the alphabet has one or, where it is inferred, the text has others. Bits per byte are of UTF-8, whatever the
  file is in.
  Raises InputError for a path, content or character that does not fit, naming place and remedy.
  """
  file = open_bytes(path, max_bytes)
  if alphabet == "bytes":
    if encoding != "utf-8":
      raise InputError(
        f'alphabet="bytes" takes a file as it is; leave out encoding={encoding!r}, or choose an alphabet'
      )
    stream, codec, num_classes = CharacterStream(file.data, None, "", 1.0), byte_codec(), 256
  else:
    stream = character_stream(as_utf8(file, encoding), TEXT8_ALPHABET if alphabet == "text8" else alphabet)
    codec, num_classes = alphabet_codec(stream.alphabet), len(stream.alphabet)
  position = "byte" if alphabet == "bytes" else "character"
  try:
    parts, values = stream_splits(stream.values, length, splits, f"{position}s", stream.table)
  except InputError as error:
    raise InputError(f"{file.path}: {error}") from error
  pieces = {name: (_categories(block, stream.table) for block in blocks(part)) for name, part in values.items()}
  return DataSource(
    event=EventSpec((length,), num_classes),
    splits=parts,
    codec=codec,
    position=position,
    bytes_per_position=stream.bytes_per_position,
    fingerprint=fingerprint(pieces, num_classes),
    description=f"{file.path}: {len(stream.values):,} {position}s of {num_classes}",
  )


def character_stream(file: FileBytes, alphabet: str) -> CharacterStream:
  """Returns the characters of a file in UTF-8 over `alphabet`, or over its own characters for "infer"."""
  counts = byte_counts(file.data)
  file, counts = _without_last_line_break(file, counts, alphabet)
  if not counts[128:].any():
    if alphabet == "infer":
      alphabet = inferred_alphabet(np.flatnonzero(counts), file.path)
    table = character_table(alphabet)[:256]
    _check_bytes(file, counts, table, alphabet)
    return CharacterStream(file.data, table, alphabet, 1.0)
  if alphabet == "infer":
    alphabet = inferred_alphabet(np.flatnonzero(present_characters(file)), file.path)
  num_characters = int(counts.sum() - counts[0x80:0xC0].sum())  # every byte but the continuations starts one
  table = character_table(alphabet)
  ids = room_for(num_characters, table.dtype)
  done, num_bytes = 0, 0
  for text in decoded(file):
    try:
      ids[done : done + len(text)] = encode_characters(text, table, alphabet, done)
    except InputError as error:
      raise InputError(f"{file.path}: {error}") from error
    done, num_bytes = done + len(text), num_bytes + len(text.encode())
  return CharacterStream(ids[:done], None, alphabet, num_bytes / done)


def _categories(values: Shaped[np.ndarray, "n"], table: Shaped[np.ndarray, "256"] | None) -> Shaped[np.ndarray, "n"]:
  return values if table is None else table[values]


def _without_last_line_break(
  file: FileBytes, counts: Shaped[np.ndarray, "256"], alphabet: str
) -> tuple[FileBytes, Shaped[np.ndarray, "256"]]:
  """Drops "\\n" or "\\r\\n" at the end of the file where it is no character of the alphabet."""
  for byte in b"\n\r":
    wanted = counts[byte] > 1 if alphabet == "infer" else chr(byte) in alphabet
    if file.complete and file.data.size > 1 and file.data[-1] == byte and not wanted:
      file = file._replace(data=file.data[:-1])
      counts = counts - (np.arange(256) == byte)
    elif byte == ord("\n"):
      break
  return file, counts


def _check_bytes(
  file: FileBytes, counts: Shaped[np.ndarray, "256"], table: Shaped[np.ndarray, "256"], alphabet: str
) -> None:
  """Raises InputError naming the first byte of the file that is outside the alphabet, if there is one."""
  unknown = table == np.iinfo(table.dtype).max
  if not counts[unknown].any():
    return
  offset = file.start
  for block in blocks(file.data):
    outside = unknown[block]
    if outside.any():
      first = int(outside.argmax())
      raise InputError(
        f"{file.path}: character {chr(block[first])!r} at offset {offset + first} is not in the alphabet "
        f"{show(alphabet)}; remove it or choose an alphabet that has it"
      )
    offset += block.size
