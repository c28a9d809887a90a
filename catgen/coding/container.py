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

MAGIC, BLOCK = b"catgen\x00\x01", b"cgB\n"
_FIELDS = struct.Struct("<4s5I")  # magic, number, kind, symbols, bytes, checksum of the payload
_NUMBER = struct.Struct("<I")
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


def read_header(content: bytes, path: str) -> tuple[dict[str, Any], int]:
  """Returns the header of a file, and where its blocks begin.

  Raises:
    InputError: it is no such file, of a version that is not known, or its header is damaged.
  """
  if content[: len(MAGIC) - 1] != MAGIC[:-1]:
    raise InputError(f"{path} was not written by compress: it does not begin as such files do")
  if content[: len(MAGIC)] != MAGIC:
    raise InputError(f"{path} is of another version of catgen, which wrote format {content[len(MAGIC) - 1]}")
  begin = len(MAGIC) + _NUMBER.size
  (size,) = _NUMBER.unpack(content[len(MAGIC) : begin].ljust(4, b"\xff"))
  end = begin + size
  found = content[begin:end]
  if size > _LARGEST_HEADER or content[end : end + 4] != _NUMBER.pack(zlib.crc32(found)):
    raise InputError(f"the header of {path} is damaged, and without it nothing can be decoded")
  try:
    return from_json(found), end + _NUMBER.size
  except ValueError as error:
    raise InputError(f"the header of {path} says nothing that catgen knows: {error}") from error


def write_block(file: IO[bytes], block: Block) -> int:
  """Writes a block, and returns how many bytes that took."""
  payload = block.payload
  fields = _FIELDS.pack(BLOCK, block.number, block.kind, block.num_symbols, len(payload), zlib.crc32(payload))
  return file.write(fields + _NUMBER.pack(zlib.crc32(fields)) + payload)


def read_blocks(content: bytes, begin: int) -> Iterator[Block | Damage]:
  """Yields the blocks of a file from `begin` on, and its damages between them."""
  place, last = begin, -1
  while place < len(content):
    block, end = _block(content, place)
    if block is not None:
      yield block
      last, place = block.number, end
      continue
    # a payload that is damaged ends where its fields say; where these are damaged, the next whole ones are sought
    after = end if end > place else _next(content, place + 1)
    yield Damage(last, "a payload is damaged" if end > place else "the fields of a block are damaged")
    place = after


def _block(content: bytes, place: int) -> tuple[Block | None, int]:
  """Returns the block at a place and where it ends; None where it is damaged, and its end if that is known."""
  size = _FIELDS.size + _NUMBER.size
  fields = content[place : place + _FIELDS.size]
  checksum = content[place + _FIELDS.size : place + size]
  if len(fields) < _FIELDS.size or fields[:4] != BLOCK or checksum != _NUMBER.pack(zlib.crc32(fields)):
    return None, place
  _, number, kind, num_symbols, length, check = _FIELDS.unpack(fields)
  end = place + size + length
  payload = content[place + size : end]
  if len(payload) < length or zlib.crc32(payload) != check:
    return None, end
  return Block(number, Kind(kind), num_symbols, payload), end


def _next(content: bytes, place: int) -> int:
  """Returns where the next block with whole fields begins, or the end of the file."""
  while (place := content.find(BLOCK, place)) >= 0:
    if _block(content, place)[1] > place:
      return place
    place += 1
  return len(content)
