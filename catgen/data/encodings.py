"""Encodings of text: byte order marks, declared encodings, and what is in none of them."""

import codecs
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import UInt8

from catgen.interfaces import InputError

# That of UTF-32 begins with that of UTF-16, so it comes first.
MARKS = (
  (codecs.BOM_UTF32_LE, "utf-32-le"),
  (codecs.BOM_UTF32_BE, "utf-32-be"),
  (codecs.BOM_UTF8, "utf-8"),
  (codecs.BOM_UTF16_LE, "utf-16-le"),
  (codecs.BOM_UTF16_BE, "utf-16-be"),
)
LONGEST_MARK = 4  # bytes
_CONTROLS = np.array([value < 0x20 and chr(value) not in "\t\n\r" for value in range(256)])
_FEWEST_BYTES = 16  # of which a guess is made


def encoding_of(path: str, head: bytes, declared: str) -> tuple[str, int]:
  """Returns the encoding of a file, as Python calls it, and the size of its byte order mark, 0 where it has none.

  Args:
    path: of the file, for messages.
    head: its first `LONGEST_MARK` bytes.
    declared: what the user says; "utf-8" says nothing where there is a mark.

  Raises:
    InputError: there is no such encoding, the mark says another, or "utf-16" has no mark to say the order of bytes.
  """
  name = _canonical(declared)
  found = [(known, len(mark)) for mark, known in MARKS if head.startswith(mark)]
  fitting = [each for each in found if name == "utf-8" or each[0].startswith(name)]
  if fitting:
    return fitting[0]
  if found:
    known = found[0][0]
    raise InputError(
      f"{path} begins with the byte order mark of {known}, but encoding is {declared!r}; give encoding={known!r}"
    )
  if name in ("utf-16", "utf-32"):
    raise InputError(
      f"{path} has no byte order mark, which {name} needs; give encoding='{name}-le' (of Windows) or '{name}-be'"
    )
  return name, 0


def unmarked_utf16(head: UInt8[np.ndarray, "bytes"]) -> str | None:
  """Returns "utf-16-le" or "utf-16-be" where the beginning of a file looks like it, None elsewhere.

  There every second byte is that of the script, and 0 for Latin letters: bytes that no text in UTF-8 has in number.
  """
  if head.size < _FEWEST_BYTES:
    return None
  even, odd = (float(_CONTROLS[head[start::2]].mean()) for start in (0, 1))
  if max(even, odd) < 0.8 or min(even, odd) > 0.4:
    return None
  return "utf-16-be" if even > odd else "utf-16-le"


def in_utf8(
  path: str, pieces: Iterable[UInt8[np.ndarray, "_"]], encoding: str, start: int, *, complete: bool
) -> Iterator[bytes]:
  """Yields text in UTF-8.

  Args:
    path: of the file, for messages.
    pieces: of the file, in order, from byte number `start` on.
    encoding: of the file, as `encoding_of` returns it.
    start: see pieces.
    complete: False where the pieces may end inside a character, which is then left out.

  Raises:
    InputError: a byte means nothing in the encoding, with its offset in the file.
  """
  decoder = codecs.getincrementaldecoder(encoding)()
  offset = start
  for piece, is_last in _and_last(pieces):
    waiting = len(decoder.getstate()[0])
    try:
      yield decoder.decode(piece, complete and is_last).encode()
    except UnicodeDecodeError as error:
      place = offset - waiting + error.start
      raise InputError(
        f"{path} is not {encoding}: byte {error.object[error.start]:#04x} at offset {place} ({error.reason}); "
        "correct encoding, or the file"
      ) from error
    except UnicodeError as error:
      raise InputError(f"{path} is not {encoding} ({error}); correct encoding, or the file") from error
    offset += len(piece)


def _canonical(declared: str) -> str:
  try:
    "".encode(declared)  # refuses what turns bytes into bytes too, "hex"
    name = codecs.lookup(declared).name
  except (LookupError, ValueError) as error:
    raise InputError(
      f"encoding is {declared!r}, which Python does not know; give utf-8, utf-16, latin-1, cp1252 or another"
    ) from error
  return "utf-8" if name == "utf-8-sig" else name


def _and_last(pieces: Iterable[UInt8[np.ndarray, "_"]]) -> Iterator[tuple[bytes, bool]]:
  """Yields pieces as bytes, and whether it is the last."""
  before = None
  for piece in pieces:
    if before is not None:
      yield before, False
    before = piece.tobytes()
  if before is not None:
    yield before, True
