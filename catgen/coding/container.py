"""The file that compression writes: a header, and blocks that each say what they are and whether they are whole.

    magic, number of bytes of the header, header (JSON), CRC-32 of it
    blocks: magic, number, kind, symbols, bytes of the payload, CRC-32 of the payload, CRC-32 of these; payload
    a last block, of no symbols, whose payload is the SHA-256 of the content

All numbers are little-endian, of 4 bytes. After damage the next block is found by its magic and the checksum of what
says its size.
"""

import json
import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from typing import IO, Any, NamedTuple

from catgen.files import from_json
from catgen.interfaces import InputError

MAGIC, BLOCK = b"catgen\x00\x02", b"cgB\n"  # the last byte of the magic is the number of the format
_KNOWN = (b"\x01", b"\x02")  # 1: the header of a table says one way in which the numbers of a column are written
_FIELDS = struct.Struct("<4s5I")  # magic, number, kind, symbols, bytes, checksum of the payload
_NUMBER = struct.Struct("<I")
_SIZE = _FIELDS.size + _NUMBER.size  # before a payload
_WINDOW = 2**16  # in which whole fields are sought at a time
_LARGEST_HEADER = 2**24


class Kind(IntEnum):
  """What the payload of a block is."""

  CODED = 0  # a stream of the model's range coder
  STORED = 1  # the bytes of the content, deflated
  END = 2


class Block(NamedTuple):
  """A part of the content."""

  number: int
  kind: Kind
  num_symbols: int
  payload: bytes


class Damage(NamedTuple):
  """A stretch of the file that is no whole block: what is missing lies between the blocks around it."""

  after: int  # number of the last block before it, -1 at the beginning
  reason: str


def write_header(file: IO[bytes], header: dict[str, Any]) -> int:
  """Writes the magic and the header, and returns how many bytes that took."""
  content = json.dumps(header, sort_keys=True).encode()
  return file.write(MAGIC + _NUMBER.pack(len(content)) + content + _NUMBER.pack(zlib.crc32(content)))


def read_header(file: IO[bytes], path: str) -> dict[str, Any]:
  """Returns the header of a file, which is then read up to its first block.

  Raises:
    InputError: it is no such file, of a version that is not known, or its header is damaged.
  """
  magic = file.read(len(MAGIC))
  if magic[: len(MAGIC) - 1] != MAGIC[:-1]:
    raise InputError(f"{path} was not written by compress: it does not begin as such files do")
  if magic[-1:] not in _KNOWN:
    raise InputError(
      f"{path} is of another version of catgen, which wrote format {magic[-1] if len(magic) == len(MAGIC) else '?'};"
      f" this one reads 1 to {MAGIC[-1]}"
    )
  (size,) = _NUMBER.unpack(file.read(_NUMBER.size).ljust(4, b"\xff"))
  found = file.read(size) if size <= _LARGEST_HEADER else b""
  if size > _LARGEST_HEADER or file.read(_NUMBER.size) != _NUMBER.pack(zlib.crc32(found)):
    raise InputError(f"the header of {path} is damaged, and without it nothing can be decoded")
  try:
    return from_json(found)
  except ValueError as error:
    raise InputError(f"the header of {path} says nothing that catgen knows: {error}") from error


def write_block(file: IO[bytes], block: Block) -> int:
  """Writes a block, and returns how many bytes that took."""
  payload = block.payload
  fields = _FIELDS.pack(BLOCK, block.number, block.kind, block.num_symbols, len(payload), zlib.crc32(payload))
  return file.write(fields + _NUMBER.pack(zlib.crc32(fields)) + payload)


def read_blocks(file: IO[bytes]) -> Iterator[Block | Damage]:
  """Yields the blocks of a file from where it was read to, and its damages between them; one is held at a time."""
  ahead, last = _Ahead(file), -1
  while ahead.peek(1):
    fields = _fields(ahead.peek(_SIZE))
    if fields is None:  # the next whole ones are sought
      yield Damage(last, "the fields of a block are damaged")
      ahead.seek_block()
      continue
    ahead.take(_SIZE)
    payload = ahead.take(fields.num_bytes)
    if len(payload) < fields.num_bytes or zlib.crc32(payload) != fields.checksum:
      yield Damage(last, "a payload is damaged")
      continue
    yield Block(fields.number, fields.kind, fields.num_symbols, payload)
    last = fields.number


class _Fields(NamedTuple):
  number: int
  kind: Kind
  num_symbols: int
  num_bytes: int
  checksum: int


def _fields(found: bytes) -> _Fields | None:
  """Returns what stands before a payload; None where that is damaged."""
  fields, checksum = found[: _FIELDS.size], found[_FIELDS.size :]
  if len(found) < _SIZE or fields[:4] != BLOCK or checksum != _NUMBER.pack(zlib.crc32(fields)):
    return None
  _, number, kind, *rest = _FIELDS.unpack(fields)
  return _Fields(number, Kind(kind), *rest) if kind in tuple(Kind) else None


class _Ahead:
  """A file that is read in order, and looked into ahead of what is taken from it."""

  def __init__(self, file: IO[bytes]) -> None:
    self._file, self._seen = file, b""

  def peek(self, size: int) -> bytes:
    """Returns the next bytes, fewer at the end, and leaves them."""
    while len(self._seen) < size and (some := self._file.read(size - len(self._seen))):
      self._seen += some
    return self._seen[:size]

  def take(self, size: int) -> bytes:
    """Returns the next bytes, fewer at the end."""
    found = self.peek(size)
    self._seen = self._seen[size:]
    return found

  def seek_block(self) -> None:
    """Leaves out bytes, at least one, up to the next fields that are whole, or to the end."""
    start = 1
    while True:
      seen = self.peek(_WINDOW)
      while (place := seen.find(BLOCK, start)) >= 0 and place + _SIZE <= len(seen):
        if _fields(seen[place : place + _SIZE]) is not None:
          self.take(place)
          return
        start = place + 1
      if len(seen) < _WINDOW:
        self.take(len(seen))
        return
      self.take(_WINDOW - _SIZE + 1)
      start = 0
