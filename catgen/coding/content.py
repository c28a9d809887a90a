"""What is compressed, in parts that each fit a block: text, bytes, or arrays of integers."""

import contextlib
import io
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int32

from catgen.interfaces import EventSpec, InputError
from catgen.sources import Codec

_UNPACK = "unpack it first ({}) and give what comes out"
_PACKED = {  # beginnings of files that hold a text or a table in another form
  b"\x1f\x8b": ("packed by gzip", _UNPACK.format("gunzip")),
  b"BZh": ("packed by bzip2", _UNPACK.format("bunzip2")),
  b"\xfd7zXZ\x00": ("packed by xz", _UNPACK.format("unxz")),
  b"\x28\xb5\x2f\xfd": ("packed by zstd", _UNPACK.format("unzstd")),
  b"PK\x03\x04": ("a ZIP archive, as those of spreadsheets are", "give a file of it, a table as CSV"),
  b"PAR1": ("a Parquet file", "write the table as CSV and give that"),
  b"catgen\x00": ("compressed by catgen already", "launch.decompress makes the file of it"),
}
_LONGEST = max(map(len, _PACKED))


class Part(NamedTuple):
  """A stretch of the content: its bytes, and the same as examples where the model has all its categories."""

  raw: bytes
  x: Int32[np.ndarray, "rows *event"] | None
  valid: Bool[np.ndarray, "rows *event"] | None
  num_symbols: int
  left: bytes | None = None  # what examples leave open; None: nothing ever does
  odd: str | None = None  # of a table without examples: the first row that has none


class Content(NamedTuple):
  """How a file is cut into examples, and made of them again.

  Attributes:
    about: what a header says of it (JSON).
    num_rows: examples of a part.
  """

  about: dict[str, Any]
  codec: Codec
  event: EventSpec
  num_rows: int

  def parts(self, file: IO[bytes]) -> Iterator[Part]:
    """Yields the parts of a file that is read in order.

    Raises:
      InputError: it is no text in its encoding.
    """
    if self.about["kind"] == "array":
      yield from self._array_parts(file)
      return
    size = self.num_rows * self.event.shape[0]
    if self.about["kind"] == "bytes":
      while raw := file.read(size):
        yield self._sequence(raw, raw)
      return
    with readable(file, self.about["encoding"]) as reader:
      while text := reader.read(size):
        yield self._sequence(text, text.encode(self.about["encoding"]))

  def begin(self) -> bytes:
    """Returns what a file begins with, before its parts."""
    return bytes.fromhex(self.about.get("head", ""))

  def raw(self, x: Int32[np.ndarray, "rows *event"], num_symbols: int, left: bytes = b"") -> bytes:
    """Returns the bytes of a part whose examples were decoded; they leave nothing open."""
    if self.about["kind"] == "array":
      rows = x[: num_symbols // x[0].size]
      return b"".join(np.asarray(self.codec.decode(row)).astype(self.about["dtype"]).tobytes() for row in rows)
    ids = x.reshape(-1)[:num_symbols]
    if self.about["kind"] == "bytes":
      return ids.astype(np.uint8).tobytes()
    return self.codec.decode(ids).encode(self.about["encoding"])

  def valid(self, num_symbols: int) -> Bool[np.ndarray, "rows *event"]:
    """Returns which positions of a part's examples hold its symbols."""
    shape = (self.num_rows, *self.event.shape)
    return (np.arange(np.prod(shape)) < num_symbols).reshape(shape)

  def _sequence(self, text: str | bytes, raw: bytes) -> Part:
    try:
      ids = self.codec.encode(text)
    except InputError:  # a character that the model does not have
      return Part(raw, None, None, len(text))
    return self._part(raw, ids)

  def _array_parts(self, file: IO[bytes]) -> Iterator[Part]:
    _read_layout(file)
    dtype = np.dtype(self.about["dtype"])
    row = int(np.prod(self.event.shape)) * dtype.itemsize
    while raw := file.read(self.num_rows * row):
      if len(raw) % row:  # the file is cut short, or goes on after its array
        yield Part(raw, None, None, len(raw) // dtype.itemsize)
        continue
      rows = np.frombuffer(raw, dtype).reshape(-1, *self.event.shape)
      try:
        x = np.stack([self.codec.encode(row) for row in rows])
      except InputError:
        x = np.full(rows.shape, -1, np.int32)
      yield Part(raw, None, None, rows.size) if (x < 0).any() else self._part(raw, x.reshape(-1))

  def _part(self, raw: bytes, ids: Int32[np.ndarray, "symbols"]) -> Part:
    valid = self.valid(len(ids))
    x = np.zeros(valid.size, np.int32)
    x[: len(ids)] = ids
    return Part(raw, x.reshape(valid.shape), valid, len(ids))


@contextlib.contextmanager
def readable(file: IO[bytes], encoding: str) -> Iterator[io.TextIOWrapper]:
  """Gives the text of a file, line breaks as they are. Raises InputError where it is in no or another encoding."""
  reader = io.TextIOWrapper(file, encoding, newline="")
  try:
    yield reader
  except UnicodeError as error:
    raise InputError(f"the text is not in {encoding} ({error}); give its --encoding") from error
  finally:
    reader.detach()


def joined(left: bytes | None, stream: bytes) -> bytes:
  """Returns the payload of a part: its stream, behind what its examples leave open if they ever do."""
  return stream if left is None else len(left).to_bytes(4, "little") + left + stream


def parted(payload: bytes, *, leaves: bool) -> tuple[bytes, bytes]:
  """Returns what examples leave open, if they do, and the stream of a payload."""
  if not leaves:
    return b"", payload
  end = 4 + int.from_bytes(payload[:4], "little")
  return payload[4:end], payload[end:]


def about(file: IO[bytes], codec: Codec, event: EventSpec, encoding: str, path: str) -> dict[str, Any]:
  """Returns what a header says of the content of a file; see `Content.about`.

  Raises:
    InputError: a model of other examples than text, bytes and integers, or a file that holds no such.
  """
  kind = codec.spec["kind"]
  if codec.end is not None or kind not in ("alphabet", "bytes", "integers"):
    raise InputError(
      "compression is for models of characters, of bytes, of arrays of integers, or of rows of tables, whose examples"
      " have no end, and this is none"
    )
  if kind == "bytes":
    return {"kind": "bytes"}
  if kind == "alphabet":
    check_encoding(encoding)
    return {"kind": "text", "encoding": encoding}
  try:
    shape, fortran, dtype = _read_layout(file)
  except ValueError as error:
    raise InputError(f"{path} is no .npy file ({error}); a model of arrays compresses those") from error
  fits = event.shape in (shape, shape[1:])
  if not fits or fortran or dtype.kind not in "iub":
    raise InputError(
      f"{path} holds {dtype} of shape {shape}; integers of shape {event.shape} are needed, or several such arrays in C"
      " order"
    )
  end = file.tell()
  file.seek(0)
  return {"kind": "array", "dtype": dtype.str, "head": file.read(end).hex()}


def check_plain(file: IO[bytes], codec: Codec, path: str) -> None:
  """Raises InputError where a file for a model of text or tables begins as one that is packed; it stays unread."""
  start = file.read(_LONGEST)
  file.seek(0)
  if codec.spec["kind"] in ("bytes", "integers"):
    return
  for begin, (what, remedy) in _PACKED.items():
    if start.startswith(begin):
      raise InputError(f"{path} is {what}, and what is compressed is text: {remedy}")


def _read_layout(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
  version = np.lib.format.read_magic(file)
  read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
  return read(file)


def check_encoding(encoding: str) -> None:
  """Raises InputError unless a text is the sum of its parts in an encoding, which has to exist."""
  try:
    parts = "a".encode(encoding) + "b".encode(encoding)
  except LookupError as error:
    raise InputError(f"there is no encoding {encoding!r}; try utf-8, latin-1 or cp1252") from error
  if parts != "ab".encode(encoding):
    raise InputError(f"{encoding} marks the beginning of a text; name it with its byte order, such as utf-16-le")
