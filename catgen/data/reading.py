"""Reads files of bytes and text: memory-mapped where they are plain, in blocks, with errors that name the place.

One reader for all that is text: data sets, tables, and what commands are handed. Text in another encoding than UTF-8
becomes UTF-8 once, when it is opened.
"""

import bz2
import codecs
import contextlib
import errno
import gzip
import lzma
import os
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Shaped, UInt8

from catgen import remote
from catgen.data.characters import NUM_CODE_POINTS, code_points
from catgen.data.encodings import LONGEST_MARK, encoding_of, in_utf8, unmarked_utf16
from catgen.data.splits import BLOCK, blocks
from catgen.files import read_each, reading
from catgen.interfaces import InputError
from catgen.paths import ending_of, exists, expanded, is_file, is_folder, parent_of, size_of

LARGEST_IN_MEMORY = 2**28  # bytes of what is unpacked or decoded; more of them go to a temporary file
MOST_UNPACKED = 200  # a larger file than that which unpacks to more than so many times its size is refused
BYTE_ORDER_MARK = np.frombuffer(codecs.BOM_UTF8, np.uint8)
_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)
_ZEROS = 2**24  # bytes written at a time
ENCODINGS = 'give its encoding (encoding="latin-1", "cp1252", "utf-16-le")'
DECLARE = f'{ENCODINGS}, or use alphabet="bytes"'
SAVE = f"{ENCODINGS}, or save it as UTF-8"  # where there is no alphabet, or it is one of what was decoded
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
_UNPACKERS = {".zst": "unzstd", ".lz4": "unlz4", ".zip": "unzip", ".7z": "7z x"}  # of what is not unpacked here


class NoTextError(InputError):
  """A file is empty, packed nothing, or a byte order mark and nothing else."""


class FileBytes(NamedTuple):
  """The bytes of a file, or of its beginning."""

  path: str
  data: UInt8[np.ndarray, "bytes"]
  complete: bool  # False: cut by max_bytes, perhaps inside a character
  start: int = 0  # where `data` starts in the file


def open_bytes(path: str, max_bytes: int | None = None) -> FileBytes:
  """Returns the first `max_bytes` bytes of `path`, or all.

  A plain file is memory-mapped; .gz, .xz and .bz2 are unpacked, and the files of a store fetched, into a temporary file
  where they are large.
  Raises InputError for a path that is missing, a folder, a pipe, unreadable, empty, or a packed file that is damaged or
  of another kind.
  """
  path = existing_file(path)
  if unpacker := _UNPACKERS.get(ending_of(path)):
    raise InputError(
      f"{path} is packed, and only .gz, .xz and .bz2 are unpacked here; unpack it first ({unpacker}), or rename it to "
      "have its packed bytes"
    )
  if max_bytes is not None and max_bytes < 1:
    raise InputError(f"max_bytes is {max_bytes}; it must be at least 1, or None for the whole file")
  opener = _OPENERS.get(ending_of(path))
  try:
    if opener is not None or remote.is_remote(path):
      with reading(path) as file, opener(file, "rb") if opener else contextlib.nullcontext(file) as content:
        data = kept(_unpacked(path, content, max_bytes))
    else:
      # asarray: a plain view of the map, whose slices cost less than those of np.memmap
      data = np.asarray(np.memmap(path, np.uint8, "r")) if size_of(path) else np.zeros(0, np.uint8)
  except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
    raise InputError(f"{path} is truncated or damaged ({error}); fetch or pack it again") from error
  except OSError as error:
    raise InputError(
      f"{path} cannot be read ({error.strerror or error}); check the file and its permissions"
    ) from error
  if not data.size:
    raise NoTextError(f"{path} is empty; name a file with data")
  complete = max_bytes is None or data.size <= max_bytes
  return FileBytes(path, data if complete else data[:max_bytes], complete)


def _unpacked(path: str, packed: Any, max_bytes: int | None) -> Iterator[bytes]:
  """Yields the content of a packed file, or one of a store, in blocks, as far as a byte beyond `max_bytes`."""
  size, packed_size = 0, size_of(path)
  while wanted := BLOCK if max_bytes is None else min(BLOCK, max_bytes + 1 - size):
    block = packed.read(wanted)
    if not block:
      return
    size += len(block)
    if size > max(LARGEST_IN_MEMORY, MOST_UNPACKED * packed_size):
      raise InputError(
        f"{path} unpacks to more than {size:,} bytes, {size // packed_size:,} times its own size; unpack it yourself "
        "if that is right, or give max_bytes"
      )
    yield block


def kept(pieces: Iterable[bytes]) -> UInt8[np.ndarray, "bytes"]:
  """Returns pieces as one array: in memory, or where it is large memory-mapped from a file that vanishes with it."""
  with tempfile.SpooledTemporaryFile(LARGEST_IN_MEMORY) as file:
    size = 0
    for piece in pieces:
      size += len(piece)
      try:
        file.write(piece)
        file.flush()
      except OSError as error:
        raise InputError(
          f"{tempfile.gettempdir()} has no room for {size:,} bytes of unpacked or decoded data ({error.strerror}); set "
          "TMPDIR to a folder that has"
        ) from error
    if size > LARGEST_IN_MEMORY:
      return np.asarray(np.memmap(file, np.uint8, "r"))
    file.seek(0)
    return np.frombuffer(file.read(), np.uint8)


def open_text(path: str, encoding: str = "utf-8", max_bytes: int | None = None) -> FileBytes:
  """Returns the text of `path` in UTF-8, without its byte order mark.

  Args:
    path, max_bytes: see `open_bytes`.
    encoding: of a file without a byte order mark, which says it by itself.

  Raises:
    InputError: see `open_bytes`, `encoding_of` and `decoded`; also text that looks like UTF-16 and does not say so.
  """
  return as_utf8(open_bytes(path, max_bytes), encoding)


def as_utf8(file: FileBytes, encoding: str = "utf-8") -> FileBytes:
  """Returns the text of a file in UTF-8; see `open_text`. What is UTF-8 already is not copied, and not checked yet."""
  name, size = encoding_of(file.path, file.data[:LONGEST_MARK].tobytes(), encoding)
  if name == "utf-8":
    likely = None if size else unmarked_utf16(file.data[:BLOCK])
    if likely is not None:
      offset = int(likely == "utf-16-le")
      raise InputError(
        f"{file.path} looks like UTF-16 without a byte order mark: every second byte is like {file.data[offset]:#04x} "
        f'at offset {offset}; give encoding="{likely}", or save it as UTF-8'
      )
    if size == file.data.size:
      raise NoTextError(f"{file.path} has no text; name a file with data")
    return without_byte_order_mark(file)
  data = kept(in_utf8(file.path, blocks(file.data[size:]), name, size, complete=file.complete))
  if not data.size:
    raise NoTextError(f"{file.path} has no text; name a file with data")
  return FileBytes(file.path, data, file.complete)


def has_text(path: str) -> bool:
  """Returns whether a file holds anything, by its beginning. What is wrong with it otherwise is for `open_text`."""
  try:
    open_text(path, max_bytes=LONGEST_MARK + 1)
  except NoTextError:
    return False
  except InputError:
    return True
  return True


def read_text(path: str, encoding: str = "utf-8", *, remedy: str = "save it as UTF-8") -> str:
  """Returns all the text of a file, or of a pipe: of a table, or what a command is handed.

  Raises:
    InputError: see `open_text`; with the remedy where it is in another encoding.
  """
  place = os.path.expanduser(path)
  if os.path.exists(place) and stat.S_ISFIFO(os.stat(place).st_mode):
    with open(place, "rb") as pipe:
      data = pipe.read(LARGEST_IN_MEMORY + 1)
    if not 0 < len(data) <= LARGEST_IN_MEMORY:
      raise InputError(f"{path} is a pipe of nothing, or of more than {LARGEST_IN_MEMORY:,} bytes; name a file")
    file = FileBytes(path, np.frombuffer(data, np.uint8), True)
  else:
    file = open_bytes(path)
  return "".join(decoded(as_utf8(file, encoding), remedy))


def lines_of(file: FileBytes) -> Iterator[str]:
  """Yields the lines of a UTF-8 file with their line breaks. Only "\\n" breaks a line; see `decoded`."""
  begun: list[str] = []
  for text in decoded(file, SAVE):
    first, *others = text.split("\n")
    begun.append(first)
    for other in others:
      yield "".join(begun) + "\n"
      begun = [other]
  if any(begun):
    yield "".join(begun)


def contents(paths: Sequence[str]) -> Iterator[bytes]:
  """Yields the contents of files, those of a store fetched ahead. Raises as `open_bytes` does."""
  if not remote.is_remote(paths[0]):
    yield from (open_bytes(path).data.tobytes() for path in paths)
    return
  try:
    yield from read_each(paths)
  except OSError as error:
    raise InputError(
      f"{parent_of(paths[0])} cannot be read ({error}); check the files and their permissions"
    ) from error


def existing_file(path: str) -> str:
  """Returns `path` with ~ expanded; raises InputError where it is no file: a folder, a pipe, a device."""
  if not path:
    raise InputError("the path of a file is empty; name a file")
  path = expanded(path)
  if remote.is_remote(path) and is_file(path):
    return path
  if is_folder(path):
    raise InputError(f"{path} is a folder; name a file in it")
  if not exists(path):
    raise InputError(f"{path} does not exist; correct the path")
  if not is_file(path):
    raise InputError(f"{path} is a pipe or a device, which cannot be read again; write what comes from it to a file")
  return path


def without_byte_order_mark(file: FileBytes) -> FileBytes:
  """Returns `file` without the byte order mark that some editors write before UTF-8."""
  size = BYTE_ORDER_MARK.size
  if file.data.size > size and np.array_equal(file.data[:size], BYTE_ORDER_MARK):
    return file._replace(data=file.data[size:], start=size)
  return file


def byte_counts(data: UInt8[np.ndarray, "bytes"]) -> Int[np.ndarray, "256"]:
  """Returns how often each byte value occurs."""
  counts = np.zeros(256, np.int64)
  for block in blocks(data):
    counts += np.bincount(block, minlength=256)
  return counts


def decoded(file: FileBytes, remedy: str = DECLARE) -> Iterator[str]:
  """Yields the text of a UTF-8 file in pieces; raises InputError that names the offset of what is no UTF-8.

  remedy: what else to do about that. Where `max_bytes` cut the file inside a character, that character is left out.
  """
  carry, offset = b"", file.start
  for block in blocks(file.data):
    piece = carry + block.tobytes()
    try:
      text, used = codecs.utf_8_decode(piece, "strict", False)
    except UnicodeDecodeError as error:
      raise InputError(
        f"{file.path} is not UTF-8: byte {piece[error.start]:#04x} at offset {offset + error.start}; {remedy}"
      ) from error
    carry, offset = piece[used:], offset + used
    yield text
  if carry and file.complete:
    raise InputError(f"{file.path} ends inside a UTF-8 character at offset {offset}; it is truncated: fetch it again")


def present_characters(file: FileBytes) -> Bool[np.ndarray, "points"]:
  """Returns, for each Unicode code point, whether the UTF-8 file has it."""
  present = np.zeros(NUM_CODE_POINTS, bool)
  for text in decoded(file):
    present[code_points(text)] = True
  return present


def inferred_alphabet(points: Shaped[np.ndarray, "classes"], path: str) -> str:
  """Returns the characters of sorted code points; raises InputError where there are fewer than two."""
  alphabet = "".join(map(chr, points.tolist()))
  if len(alphabet) < 2:
    raise InputError(f"{path} has only the characters {alphabet!r}; at least two different ones are needed")
  return alphabet


def room_for(size: int, dtype: np.dtype) -> Shaped[np.ndarray, "size"]:
  """Returns an empty array: in memory, or where it is large memory-mapped from a file that vanishes with it.

  That file lies in the folder for temporary files, which the environment variable TMPDIR names.
  """
  if size * dtype.itemsize <= LARGEST_IN_MEMORY:
    return np.empty(size, dtype)
  try:
    with tempfile.TemporaryFile() as file:
      _reserve(file, size * dtype.itemsize)  # a full disk is an error now, not a crash later
      return np.memmap(file, dtype, "r+", shape=(size,))
  except OSError as error:
    raise InputError(
      f"{tempfile.gettempdir()} has no room for {size * dtype.itemsize:,} bytes of decoded data "
      f"({error.strerror}); set TMPDIR to a folder that has"
    ) from error


def _reserve(file: BinaryIO, size: int) -> None:
  """Makes a new file `size` bytes long, all of which the disk has; raises OSError where it has not.

  Where the system or the file system cannot reserve space, zeros are written, which takes longer.
  """
  try:
    os.posix_fallocate(file.fileno(), 0, size)
  except (AttributeError, OSError) as error:
    if isinstance(error, OSError) and error.errno not in _CANNOT_RESERVE:
      raise
    for start in range(0, size, _ZEROS):
      file.write(bytes(min(_ZEROS, size - start)))
    file.flush()
