"""A FASTA file of DNA or proteins: one record a sequence."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from catgen.data.reading import FileBytes, kept, open_text
from catgen.data.records import Records, record_source
from catgen.data.splits import SPLIT_RULE, blocks
from catgen.interfaces import InputError
from catgen.sources import DataSource

_SPACE = np.isin(np.arange(256), list(b" \t\r\n\v\f"))
_UPPER = np.frombuffer(bytes(range(256)).upper(), np.uint8)
_SHOWN = 40  # bytes of a header, or of what is none, in a message


class _Piece(NamedTuple):
  """A block of a FASTA file, in which lines may begin before it and end after it."""

  bytes: UInt8[np.ndarray, "bytes"]
  in_sequence: Bool[np.ndarray, "bytes"]  # which bytes are letters of a sequence
  headers: Int64[np.ndarray, "headers"]  # where headers start


def fasta(
  path: str,
  length: int = 256,
  case: str = "keep",
  alphabet: str = "infer",
  splits: Sequence[float | int] = (0.9, 0.05, 0.05),
  longer: str = "refuse",
  max_bytes: int | None = None,
  end: bool = False,
  split_rule: int = SPLIT_RULE,
) -> DataSource:
  """Returns one record a sequence of a FASTA file: its lines joined, without header and white space.

  Lines that begin with ";" are comments. Headers are no labels.

  Args:
    path: FASTA; .gz, .xz and .bz2 are unpacked.
    length: positions of a record, at least 1; with `end` one of them is the end.
    case: "keep", or "upper": lower case, which marks repeats in genomes, becomes upper case.
    alphabet: "infer" (the characters that occur, sorted), "bytes", or the characters themselves, such as "ACGTN".
    splits: of train, validation, test. Fractions: a hash of the whole sequence decides, so that nothing of one lies in
      two splits. Counts, of records or of windows: in the order of the file, as a genome of few sequences needs.
    longer: what happens to longer sequences: "refuse", "cut", "drop", or "windows": they become several records of
      `length`, the last one padded, and training takes windows from everywhere.
    max_bytes: use only so many bytes from the beginning; a sequence cut by it is left out, unless longer is "windows".
    end: True: one more category marks the end and fills up the record, so that likelihood and samples cover the
      length. False: both are given the length.
    split_rule: as in `text_lines`; 3 keeps equal sequences in one split.
  """
  if case not in ("keep", "upper"):
    raise InputError(f'case is {case!r}; it must be "keep" or "upper"')
  records = read_fasta(open_text(path, max_bytes=max_bytes), upper=case == "upper", keep_cut=longer == "windows")
  return record_source(
    records, length=length, alphabet=alphabet, splits=splits, longer=longer, end=end, split_rule=split_rule
  )


def read_fasta(file: FileBytes, *, upper: bool, keep_cut: bool) -> Records:
  """Returns the sequences of a file; keep_cut: also one that `max_bytes` has cut."""
  headers: list[Int64[np.ndarray, "_"]] = []  # where they start in the file
  starts: list[Int64[np.ndarray, "_"]] = []  # where their sequences start in what is kept

  def letters() -> Iterator[bytes]:
    done = size = 0
    for piece in _pieces(file):
      before = np.concatenate([[0], np.cumsum(piece.in_sequence)])
      headers.append(piece.headers + done)
      starts.append(before[piece.headers] + size)
      found = piece.bytes[piece.in_sequence]
      if (found >= 0x80).any():
        place = done + int(np.flatnonzero(piece.in_sequence & (piece.bytes >= 0x80))[0])
        raise InputError(
          f"{file.path}: byte {file.data[place]:#04x} in line {_line(file, place)} is no letter of a sequence; "
          "correct it"
        )
      yield (_UPPER[found] if upper else found).tobytes()
      done, size = done + piece.bytes.size, size + found.size

  data = kept(letters())
  header, start = np.concatenate(headers), np.concatenate(starts)
  stop = np.append(start[1:], data.size)
  if not file.complete and start.size and (not keep_cut or start[-1] == stop[-1]):
    header, start, stop = header[:-1], start[:-1], stop[:-1]
  if not header.size:
    raise InputError(f"{file.path} has no complete sequence; raise max_bytes")

  def place(i: int) -> str:
    return f"the sequence {_title(file, int(header[i]))!r} (line {_line(file, int(header[i]))})"

  if (start == stop).any():
    raise InputError(f"{file.path}: {place(int((start == stop).argmax()))} has no letters; remove it")
  return Records(FileBytes(file.path, data, True), start, stop, "sequences", place)


def _pieces(file: FileBytes) -> Iterator[_Piece]:
  """Yields the blocks of a file. Raises InputError where letters come before the first header."""
  line_begins, is_header, begun = True, False, False
  for block in blocks(file.data):
    lines = np.flatnonzero(block[:-1] == ord("\n")) + 1
    lines = np.concatenate([[0], lines])  # where they start; the first may go on from the block before
    first = block[lines]
    skipped = (first == ord(">")) | (first == ord(";"))
    starting = lines[first == ord(">")]
    if not line_begins:
      skipped[0] = is_header
      starting = starting[starting > 0]
    inside = ~np.repeat(skipped, np.diff(lines, append=block.size)) & ~_SPACE[block]
    if not begun and inside[: starting[0] if starting.size else None].any():
      shown = file.data[int(inside.argmax()) :][:_SHOWN].tobytes().split(b"\n")[0].decode("utf-8", "replace")
      raise InputError(
        f'{file.path} is no FASTA: {shown!r} comes before a header, a line ">name"; take text_lines for it'
      )
    begun = begun or bool(starting.size)
    yield _Piece(block, inside, starting.astype(np.int64))
    line_begins, is_header = bool(block[-1] == ord("\n")), bool(skipped[-1])


def _title(file: FileBytes, header: int) -> str:
  return file.data[header + 1 :][:_SHOWN].tobytes().split(b"\n")[0].decode("utf-8", "replace").strip()


def _line(file: FileBytes, place: int) -> int:
  return int(np.count_nonzero(file.data[:place] == ord("\n"))) + 1
