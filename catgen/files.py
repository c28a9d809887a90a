"""Files of runs and of users, on a disk or in an object store: read, and written whole or not at all."""

import contextlib
import io
import json
import os
import pathlib
import re
import shutil
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from catgen import remote
from catgen.cache import cache
from catgen.interfaces import InputError
from catgen.paths import Path, alone, expanded, hold, join, name_of, normal, parent_of, remove_left

_DIGITS = 19  # of a whole number of 63 bits
_TRIES = 100
_AHEAD = 64  # files of a store that are fetched at the same time
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


def read_bytes(path: Path) -> bytes:
  """Returns the content of a file. Raises OSError where it cannot be read."""
  return remote.read(os.fspath(path)) if remote.is_remote(path) else pathlib.Path(path).read_bytes()


def read_each(paths: Sequence[str]) -> Iterator[bytes]:
  """Yields the contents of files; from a store some at the same time, ahead of their use."""
  for start in range(0, len(paths), _AHEAD):
    some = paths[start : start + _AHEAD]
    yield from remote.read_all(some) if remote.is_remote(some[0]) else map(read_bytes, some)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
  """Gives a file, opened for bytes to be read in order. Raises OSError where it cannot be read."""
  with remote.opened(os.fspath(path)) if remote.is_remote(path) else open(path, "rb") as file:
    yield file


@contextlib.contextmanager
def on_disk(path: Path) -> Iterator[str]:
  """Gives the path of a file that can be memory-mapped: of itself, or of a copy in the cache, removed after the block.

  A map that was made in the block stays readable after it. Raises OSError where the file cannot be read or copied.
  """
  if not remote.is_remote(path):
    yield os.fspath(path)
    return
  with cache() as folder:
    place = os.path.join(folder, name_of(path))
    with remote.opened(os.fspath(path)) as file, open(place, "wb") as copy:
      shutil.copyfileobj(file, copy, 2**24)
    yield place


def remove(path: Path) -> None:
  """Removes a file, if there is one. Raises OSError where that fails."""
  if remote.is_remote(path):
    remote.remove(os.fspath(path))
  else:
    pathlib.Path(path).unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: Path, *, remedy: str = "free space or choose another work directory") -> Iterator[IO[bytes]]:
  """Gives a file beside `path`, for bytes, that takes its place, whole and on disk, when the block has ended well.

  A block that raises leaves what was there before, and nothing else; what a process that was killed in it has left
  beside the file, the next one removes. To a store it is sent whole.

  Raises:
    InputError: it cannot be written, with the reason and the remedy.
  """
  if remote.is_remote(path):
    with _sent(path, remedy) as content:
      yield content
    return
  path = pathlib.Path(path)
  temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    with open(temporary, "wb") as file:
      hold(file.fileno())
      yield file
      file.flush()
      os.fsync(file.fileno())
      os.replace(temporary, path)  # still held
  except BaseException as error:
    with contextlib.suppress(OSError):
      temporary.unlink(missing_ok=True)
    if isinstance(error, OSError):
      raise write_error(path, error, remedy=remedy) from error
    raise


def remove_leftovers(path: Path) -> None:
  """Removes what killed processes have left of a file, or a folder, beside its place: .NAME.PID.tmp."""
  with contextlib.suppress(OSError):
    for name in os.listdir(parent_of(path)):
      if re.fullmatch(rf"\.{re.escape(name_of(path))}\.\d+\.tmp", name):
        remove_left(join(parent_of(path), name))


class _Named(io.BytesIO):
  """Bytes in memory whose name's ending says, as that of a file, what a picture is."""

  def __init__(self, name: str):
    super().__init__()
    self.name = name


@contextlib.contextmanager
def _sent(path: Path, remedy: str) -> Iterator[IO[bytes]]:
  content = io.BytesIO()
  yield content
  try:
    remote.write(os.fspath(path), content.getvalue())
  except OSError as error:
    raise write_error(path, error, remedy=remedy) from error


@contextlib.contextmanager
def drawn(path: Path) -> Iterator[IO[bytes]]:
  """Gives what a library draws a picture to; it takes its place, whole, when the block has ended well.

  Raises:
    InputError: it cannot be written, or the ending is no picture format.
  """
  content = _Named(name_of(path))
  try:
    yield content
  except (OSError, ValueError) as error:  # ValueError: an ending that is no picture format
    raise InputError(f"cannot write the picture {os.fspath(path)}: {error}") from error
  with replacing(path) as file:
    file.write(content.getvalue())


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


def rewrite(path: Path, make: Callable[[], bytes]) -> None:
  """Replaces a file by what `make` makes, which reads it: of several processes that do so none undoes another's work.

  Raises:
    InputError: it cannot be written, with the reason.
  """
  if not remote.is_remote(path):
    with alone(parent_of(path)):
      content = make()
      with replacing(path) as file:
        file.write(content)
    return
  try:
    for _ in range(_TRIES):
      before = remote.version(os.fspath(path))
      if remote.replace(os.fspath(path), make(), None if before is None else before.mark) is not None:
        return
    raise OSError(f"it was changed by others {_TRIES} times while it was read")
  except OSError as error:
    raise write_error(path, error) from error


def check_folder(folder: Path, *, remedy: str) -> None:
  """Raises InputError where no file can be written into a folder, which is made where there is none, if it can."""
  if remote.is_remote(folder):
    try:
      remote.clock(join(folder, ".probe"))
    except OSError as error:
      raise write_error(folder, error, remedy=remedy) from error
    return
  path = pathlib.Path(folder)
  probe = path / f".probe.{os.getpid()}.tmp"
  made = [each for each in (path, *path.parents) if not os.path.exists(each)]
  try:
    path.mkdir(parents=True, exist_ok=True)
    try:
      probe.write_bytes(b"x")
    finally:
      with contextlib.suppress(OSError):
        probe.unlink()
  except OSError as error:
    with contextlib.suppress(OSError):
      for each in made:  # the innermost first
        each.rmdir()
    raise write_error(path, error, remedy=remedy) from error


@contextlib.contextmanager
def writing(path: Path, *, remedy: str = "choose another --output") -> Iterator[IO[bytes]]:
  """Gives a file that the user named, for bytes: a device or a pipe is opened where it is, a file is there whole or, as
  it was before, not at all, unless its folder takes no file beside it.

  The standard streams are written on from where they are, also where they are files. That the reader of a pipe has had
  enough is no error.

  Raises:
    InputError: it cannot be written, with the reason and the remedy.
  """
  if remote.is_remote(path):
    with _sent(path, remedy) as content:
      yield content
    return
  place = os.path.expanduser(path)
  target = os.path.realpath(place) if os.path.islink(place) else place
  if not is_stream(place) and not os.path.isdir(place) and os.access(os.path.dirname(target) or ".", os.W_OK):
    with replacing(target, remedy=remedy) as file:
      yield file
    return
  try:
    with open(os.dup(_STREAMS[place]) if place in _STREAMS else place, "wb") as file:
      yield file
  except BrokenPipeError:
    return
  except OSError as error:
    raise write_error(path, error, remedy=remedy) from error


def is_stream(path: Path, number: int | None = None) -> bool:
  """Returns whether a path is a standard stream, the one of that number if given, or else any device or pipe."""
  if remote.is_remote(path):
    return False
  place = os.path.expanduser(path)
  if number is not None:
    return _STREAMS.get(place) == number
  return place in _STREAMS or (os.path.exists(place) and not os.path.isfile(place) and not os.path.isdir(place))


def check_apart(output: Path | None, given: Path | None) -> None:
  """Raises InputError where what is written would take the place of the file that it is made from."""
  if output is None or given is None or is_stream(output):
    return
  places = [normal(path) if remote.is_remote(path) else os.path.realpath(expanded(path)) for path in (output, given)]
  if places[0] == places[1]:
    raise InputError(f"--output={output} is the file that is read, which would be lost; choose another --output")


def check_writable(path: Path | None, *, remedy: str = "choose another --output") -> None:
  """Raises InputError where a file that the user named cannot be written: before the work, and not after it.

  A file that was there keeps what it has, and where there was none there is none afterwards: the work may be refused
  yet. A pipe is not opened, since its reader would take the end of this for the end of everything.
  """
  if path is None:
    return
  if remote.is_remote(path):
    check_folder(parent_of(path), remedy=remedy)
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
