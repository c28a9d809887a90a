"""One writer in a work directory: `lock.json` says which process trains there, and shows that it lives.

Where the file system keeps locks of its own (flock), the kernel lets go of one when its process ends, however it ends.
Where it keeps none, or another host may hold it, the file decides: it is written again every few seconds, and one that
has not been for a minute was left by the dead. In an object store the versions of the file decide, see `store_lock`.
Reading a work directory needs no lock.
"""

import contextlib
import fcntl
import os
import pathlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from catgen import remote
from catgen.files import write_error
from catgen.paths import join
from catgen.runs import owners, store_lock
from catgen.runs.owners import FILE_NAME, Owner

_SETTLE_SECONDS = 0.2  # where there is no flock: after which a writer looks whether another has written too


@runtime_checkable
class Held(Protocol):
  """A work directory that is held."""

  owner: Owner  # this process

  def check(self) -> None:
    """Raises InputError where another process has taken the directory, while this one stood still for a minute."""

  def release(self) -> None:
    """Lets go of the directory."""


class Lock:
  """A work directory that is held. Where somebody deletes the file, it is made again."""

  def __init__(self, path: pathlib.Path, file: int, owner: Owner):
    self.path, self.owner, self._file = path, owner, file
    self._ended, self._making = threading.Event(), threading.Lock()
    self._thread = threading.Thread(target=self._beat, name="catgen lock", daemon=True)
    self._thread.start()

  def check(self) -> None:
    """See `Held.check`."""
    found = _read(self.path)
    if found is not None and found.token != self.owner.token:
      raise owners.taken_over(self.path.parent, found)
    self._make_again()

  def release(self) -> None:
    """See `Held.release`."""
    self._ended.set()
    self._thread.join()
    with contextlib.suppress(OSError):
      found = _read(self.path)
      if _is_at(self._file, self.path) and (found is None or found.token == self.owner.token):
        os.unlink(self.path)
    os.close(self._file)

  def _beat(self) -> None:
    while not self._ended.wait(owners.BEAT_SECONDS):
      with contextlib.suppress(OSError):
        os.utime(self._file)
      self._make_again()

  def _make_again(self) -> None:
    """Writes the file where there is none: without it a second process would find the directory free."""
    if self.path.exists():
      return
    with contextlib.suppress(OSError), self._making:
      file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
      try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
      except BlockingIOError:  # another process was quicker, which the next check tells
        os.close(file)
        return
      except OSError:  # a file system without locks
        pass
      os.pwrite(file, owners.content_of(self.owner), 0)
      os.close(self._file)
      self._file = file


@contextlib.contextmanager
def held(
  workdir: str | os.PathLike[str], say: Callable[[str], None] = print, *, file_name: str = FILE_NAME
) -> Iterator[Held]:
  """Holds a work directory for the time of the block, and makes it where there is none.

  Args:
    workdir: the folder.
    say: receives a line where a dead process has held it.
    file_name: of the lock, where it is something in a folder that is held.

  Raises:
    InUse: another process holds it, by name.
    InputError: it cannot be written.
  """
  path = join(workdir, file_name)
  try:
    lock = store_lock.take(path, say) if remote.is_remote(path) else _take_new(pathlib.Path(path), say)
  except OSError as error:
    raise write_error(path, error) from error
  try:
    yield lock
  finally:
    lock.release()


def owner_of(workdir: str | os.PathLike[str]) -> Owner | None:
  """Returns the living process that holds a work directory; None where there is none. Changes nothing."""
  path = join(workdir, FILE_NAME)
  if remote.is_remote(path):
    return store_lock.owner_of(path)
  place = pathlib.Path(path)
  found = _read(place)
  return found if found is not None and _lives(place, found) else None


def token_in(workdir: str | os.PathLike[str]) -> str | None:
  """Returns the token of the lock in a work directory; None where there is none, or it cannot be read.

  A disk that is shared over a network shows what another host has just written: opening a folder makes this machine
  look anew what is in it, from the top down, where it would go by its memory for half a minute.
  """
  path = join(workdir, FILE_NAME)
  if remote.is_remote(path):
    return store_lock.token_of(path)
  place = pathlib.Path(path).absolute()
  for folder in reversed(place.parents):
    with contextlib.suppress(OSError):
      os.close(os.open(folder, os.O_RDONLY))
  found = _read(place)
  return None if found is None else found.token


def _take_new(path: pathlib.Path, say: Callable[[str], None]) -> Lock:
  path.parent.mkdir(parents=True, exist_ok=True)
  return _take(path, say)


def _take(path: pathlib.Path, say: Callable[[str], None]) -> Lock:
  while True:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
      known = _flock(file, path)
      if not _is_at(file, path):
        os.close(file)  # its owner has just let go of it
        continue
      found = _read(path)
      # who holds an flock lives; where this process now has it, only a process on another host can live
      if found is not None and not (known and owners.is_near(found)) and _gives_a_sign(path, found, say):
        raise owners.refused(path.parent, found)
      owner = owners.this_process()
      try:
        os.ftruncate(file, 0)
        os.pwrite(file, owners.content_of(owner), 0)
        os.fsync(file)
      except OSError:
        path.unlink(missing_ok=True)  # a full disk leaves no lock of nobody
        raise
      if not known:
        time.sleep(_SETTLE_SECONDS)
        if (other := _read(path)) is not None and other.token != owner.token:
          raise owners.refused(path.parent, other)
      if found is not None:
        say(owners.left_by(path.parent, found))
      return Lock(path, file, owner)
    except BaseException:
      os.close(file)
      raise


def _flock(file: int, path: pathlib.Path) -> bool:
  """Takes the kernel's lock; returns whether the file system has such. Raises InputError where another holds it."""
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True
  except BlockingIOError:
    for _ in range(20):  # its owner may be about to write who it is
      if (found := _read(path)) is not None:
        raise owners.refused(path.parent, found) from None
      time.sleep(0.05)
    raise owners.refused(path.parent, None) from None
  except OSError:  # a file system without locks
    return False


def _read(path: pathlib.Path) -> Owner | None:
  """Returns what the file says; None where there is none, or it is empty or damaged."""
  try:
    return owners.parsed(path.read_bytes())
  except OSError:
    return None


def _is_at(file: int, path: pathlib.Path) -> bool:
  """Returns whether an open file is the one that a path names now."""
  try:
    return os.path.samestat(os.fstat(file), os.stat(path))
  except FileNotFoundError:
    return False


def _lives(path: pathlib.Path, owner: Owner) -> bool:
  if owners.is_near(owner):
    return owners.runs(owner)
  try:
    return _file_system_time(path) - _beaten(path) < owners.STALE_SECONDS
  except OSError:
    return True


def _gives_a_sign(path: pathlib.Path, owner: Owner, say: Callable[[str], None]) -> bool:
  """Returns whether a process lives; one that cannot be seen is given the time for a sign, so that a job that is
  started again on another host does not fail because of the one before."""
  if owners.is_near(owner) or not _lives(path, owner):
    return _lives(path, owner)
  say(owners.waiting_for(path.parent, owner))
  last = _beaten(path)
  patience = time.monotonic() + owners.STALE_SECONDS  # a clock that was set back counts for nothing
  while _lives(path, owner) and time.monotonic() < patience:
    time.sleep(min(1.0, owners.STALE_SECONDS / 10))
    if _beaten(path) != last:
      return True
  return False


def _beaten(path: pathlib.Path) -> float:
  """Returns when the file was last written; opened, since network file systems look anew only then."""
  with open(path, "rb") as file:
    return os.fstat(file.fileno()).st_mtime


def _file_system_time(path: pathlib.Path) -> float:
  """Returns the time by the clock that stamps the file: that of the machine that serves it, which may not be this."""
  probe = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
  try:
    probe.touch()
    return probe.stat().st_mtime
  except OSError:  # read-only: this machine's clock must do
    return time.time()
  finally:
    with contextlib.suppress(OSError):
      probe.unlink()
