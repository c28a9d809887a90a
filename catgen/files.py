"""Files of a run: written whole or not at all."""

import contextlib
import fcntl
import json
import os
import pathlib
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any

from catgen.interfaces import InputError

Path = str | os.PathLike[str]
_DIGITS = 19  # of a whole number of 63 bits
DAMAGED_ARRAYS = (  # what NumPy and zipfile raise for files that are damaged or hold something else
  ValueError,
  OSError,
  EOFError,
  KeyError,
  TypeError,
  OverflowError,
  RuntimeError,
  MemoryError,
  SyntaxError,
  tokenize.TokenError,
  struct.error,
  zlib.error,
  zipfile.BadZipFile,
)
_STREAMS: dict[Path, int] = {"/dev/stdout": 1, "/dev/stderr": 2, "/dev/fd/1": 1, "/dev/fd/2": 2}


@contextlib.contextmanager
def replacing(path: Path, *, remedy: str = "free space or choose another work directory") -> Iterator[IO[bytes]]:
  """Gives a file beside `path`, for bytes, that takes its place, whole and on disk, when the block has ended well.

  A block that raises leaves what was there before, and nothing else.

  Raises:
    InputError: it cannot be written, with the reason and the remedy.
  """
  path = pathlib.Path(path)
  temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(temporary, "wb") as file:
      yield file
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
  except BaseException as error:
    with contextlib.suppress(OSError):
      temporary.unlink(missing_ok=True)
    if isinstance(error, OSError):
      raise write_error(path, error, remedy=remedy) from error
    raise


def write_text(path: Path, text: str) -> None:
  """Writes a whole UTF-8 file in place of what was there. Raises InputError as `replacing` does."""
  with replacing(path) as file:
    file.write(text.encode())


def write_error(
  path: Path, error: OSError, *, remedy: str = "free space or choose another work directory"
) -> InputError:
  """Returns what to tell a user whose disk has refused a file.

  Example:
    >>> print(write_error("runs/a", OSError(28, "No space left on device")))
    cannot write runs/a: No space left on device; free space or choose another work directory
  """
  return InputError(f"cannot write {os.fspath(path)}: {error.strerror or error}; {remedy}")


def from_json(content: str | bytes) -> Any:
  """Returns what a JSON file of a run says.

  Raises:
    ValueError: it is no JSON, is nested too deeply, or has a whole number of more than 19 digits, as no count is.
  """
  try:
    return json.loads(content, parse_int=_whole)
  except RecursionError as error:
    raise ValueError("it is nested too deeply") from error


def _whole(digits: str) -> int:
  if len(digits) > _DIGITS:
    raise ValueError(f"the number {digits[:_DIGITS]}... has {len(digits)} digits")
  return int(digits)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
  """Lets one process at a time into the block: for a file of the folder that is read, changed and written again.

  It waits for the other, and holds no one up who only reads. Where the file system has no locks it does nothing.
  """
  try:
    place = os.open(folder, os.O_RDONLY)
  except OSError:
    yield
    return
  try:
    with contextlib.suppress(OSError):
      fcntl.flock(place, fcntl.LOCK_EX)
    yield
  finally:
    os.close(place)


def check_folder(folder: Path, *, remedy: str) -> None:
  """Raises InputError where no file can be written into a folder, which is made where there is none."""
  path = pathlib.Path(folder)
  probe = path / f".probe.{os.getpid()}.tmp"
  try:
    path.mkdir(parents=True, exist_ok=True)
    try:
      probe.write_bytes(b"x")
    finally:
      with contextlib.suppress(OSError):
        probe.unlink()
  except OSError as error:
    raise write_error(path, error, remedy=remedy) from error


@contextlib.contextmanager
def writing(path: Path, *, remedy: str = "choose another --output") -> Iterator[IO[bytes]]:
  """Gives a file that the user named, opened for bytes where it is: it may be a device or a pipe.

  The standard streams are written on from where they are, also where they are files. That the reader of a pipe has had
  enough is no error.

  Raises:
    InputError: it cannot be written, with the reason and the remedy.
  """
  place = os.path.expanduser(path)
  try:
    with open(os.dup(_STREAMS[place]) if place in _STREAMS else place, "wb") as file:
      yield file
  except BrokenPipeError:
    return
  except OSError as error:
    raise write_error(path, error, remedy=remedy) from error


def is_stream(path: Path, number: int | None = None) -> bool:
  """Returns whether a path is a standard stream, the one of that number if given, or else any device or pipe."""
  place = os.path.expanduser(path)
  if number is not None:
    return _STREAMS.get(place) == number
  return place in _STREAMS or (os.path.exists(place) and not os.path.isfile(place) and not os.path.isdir(place))


def check_writable(path: Path | None, *, remedy: str = "choose another --output") -> None:
  """Raises InputError where a file that the user named cannot be written: before the work, and not after it.

  A file that was there keeps what it has, and where there was none there is none afterwards: the work may be refused
  yet. A pipe is not opened, since its reader would take the end of this for the end of everything.
  """
  if path is None:
    return
  place = os.path.expanduser(path)
  if is_stream(place) and os.access(place, os.W_OK):
    return
  is_new = not os.path.exists(place)
  try:
    open(place, "ab").close()
    if is_new:
      os.remove(os.path.realpath(place))  # of a link that leads nowhere yet, the link stays
  except OSError as error:
    raise write_error(path, error, remedy=remedy) from error
