"""One writer in a work directory: `lock.json` says which process trains there, and shows that it lives.

Where the file system keeps locks of its own (flock), the kernel lets go of one when its process ends, however it ends.
Where it keeps none, or another host may hold it, the file decides: it is written again every few seconds, and one that
has not been for a minute was left by the dead. Reading a work directory needs no lock.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from catgen.files import from_json, write_error
from catgen.interfaces import InputError

FILE_NAME = "lock.json"
BEAT_SECONDS = 10.0
STALE_SECONDS = 60.0  # without a beat; hosts' clocks do not matter, both times are the file system's
_SETTLE_SECONDS = 0.2  # where there is no flock: after which a writer looks whether another has written too


class InUse(InputError):  # noqa: N818 as InputError, it is told and not traced
  """Another process holds a work directory."""

  def __init__(self, message: str, by: "Owner | str"):
    super().__init__(message)
    self.by = by


class Owner(NamedTuple):
  """The process that holds a work directory."""

  host: str
  pid: int
  started: str  # when it took the lock, UTC
  boot: str  # of the machine and of the space of process numbers: two processes know one another's numbers only there
  born: str  # start of the process, in the kernel's ticks: numbers are used again
  token: str  # of this lock

  def __str__(self) -> str:
    return f"process {self.pid} on {self.host}, since {self.started} UTC"


class Lock:
  """A work directory that is held. Where somebody deletes the file, it is made again."""

  def __init__(self, path: pathlib.Path, file: int, owner: Owner):
    self.path, self.owner, self._file = path, owner, file
    self._ended, self._making = threading.Event(), threading.Lock()
    self._thread = threading.Thread(target=self._beat, name="catgen lock", daemon=True)
    self._thread.start()

  def check(self) -> None:
    """Raises InputError where another process has taken the directory, while this one stood still for a minute."""
    found = _read(self.path)
    if found is not None and found.token != self.owner.token:
      raise InputError(f"{self.path.parent} was taken over by {found}, since this process gave no sign of life; ended")
    self._make_again()

  def release(self) -> None:
    """Lets go of the directory."""
    self._ended.set()
    self._thread.join()
    with contextlib.suppress(OSError):
      found = _read(self.path)
      if _is_at(self._file, self.path) and (found is None or found.token == self.owner.token):
        os.unlink(self.path)
    os.close(self._file)

  def _beat(self) -> None:
    while not self._ended.wait(BEAT_SECONDS):
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
      os.pwrite(file, _content(self.owner), 0)
      os.close(self._file)
      self._file = file


@contextlib.contextmanager
def held(
  workdir: str | os.PathLike[str], say: Callable[[str], None] = print, *, file_name: str = FILE_NAME
) -> Iterator[Lock]:
  """Holds a work directory for the time of the block, and makes it where there is none.

  Args:
    workdir: the folder.
    say: receives a line where a dead process has held it.
    file_name: of the lock, where it is something in a folder that is held.

  Raises:
    InUse: another process holds it, by name.
    InputError: it cannot be written.
  """
  path = pathlib.Path(workdir) / file_name
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _take(path, say)
  except OSError as error:
    raise write_error(path, error) from error
  try:
    yield lock
  finally:
    lock.release()


def owner_of(workdir: str | os.PathLike[str]) -> Owner | None:
  """Returns the living process that holds a work directory; None where there is none. Changes nothing."""
  path = pathlib.Path(workdir) / FILE_NAME
  found = _read(path)
  return found if found is not None and _lives(path, found) else None


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
      if found is not None and not (known and _is_near(found)) and _gives_a_sign(path, found, say):
        raise _refused(path, found)
      owner = _this_process()
      os.ftruncate(file, 0)
      os.pwrite(file, _content(owner), 0)
      os.fsync(file)
      if not known:
        time.sleep(_SETTLE_SECONDS)
        if (other := _read(path)) is not None and other.token != owner.token:
          raise _refused(path, other)
      if found is not None:
        say(f"{path.parent} was left locked by {found}, which is gone; going on")
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
        raise _refused(path, found) from None
      time.sleep(0.05)
    raise _refused(path, None) from None
  except OSError:  # a file system without locks
    return False


def _refused(path: pathlib.Path, owner: Owner | None) -> InUse:
  by = owner or "another process"
  return InUse(f"{path.parent} is in use by {by}: wait for it, end it, or choose another --workdir", by)


def _read(path: pathlib.Path) -> Owner | None:
  """Returns what the file says; None where there is none, or it is empty or damaged."""
  try:
    content: Any = from_json(path.read_bytes())
    owner = Owner(**content)
    texts = (owner.host, owner.started, owner.boot, owner.born, owner.token)
    return owner if type(owner.pid) is int and all(isinstance(value, str) for value in texts) else None
  except (OSError, ValueError, TypeError):
    return None


def _content(owner: Owner) -> bytes:
  return json.dumps(owner._asdict()).encode()


def _is_at(file: int, path: pathlib.Path) -> bool:
  """Returns whether an open file is the one that a path names now."""
  try:
    return os.path.samestat(os.fstat(file), os.stat(path))
  except FileNotFoundError:
    return False


def _is_near(owner: Owner) -> bool:
  """Returns whether this process can see that one: the same machine, not started again, and space of numbers."""
  return owner.host == socket.gethostname() and owner.boot == _boot()


def _lives(path: pathlib.Path, owner: Owner) -> bool:
  if _is_near(owner):
    return _born(owner.pid) == owner.born
  try:
    return _file_system_time(path) - _beaten(path) < STALE_SECONDS
  except OSError:
    return True


def _gives_a_sign(path: pathlib.Path, owner: Owner, say: Callable[[str], None]) -> bool:
  """Returns whether a process lives; one that cannot be seen is given the time for a sign, so that a job that is
  started again on another host does not fail because of the one before."""
  if _is_near(owner) or not _lives(path, owner):
    return _lives(path, owner)
  say(f"{path.parent} was held by {owner}; waiting up to {STALE_SECONDS:.0f} s for a sign of life")
  last = _beaten(path)
  while _lives(path, owner):
    time.sleep(min(1.0, STALE_SECONDS / 10))
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


def _this_process() -> Owner:
  started = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
  pid = os.getpid()
  return Owner(socket.gethostname(), pid, started, _boot(), _born(pid), uuid.uuid4().hex)


def _boot() -> str:
  """Returns what tells machines, their starts and spaces of process numbers apart; empty where nothing does."""
  try:
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {os.readlink('/proc/self/ns/pid')}"
  except OSError:
    return sys.platform


def _born(pid: int) -> str:
  """Returns when a process was started, in ticks since the machine's start; empty where there is no such process."""
  try:
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
  except (OSError, IndexError):
    pass
  if os.path.isdir("/proc/self"):
    return ""
  try:
    os.kill(pid, 0)
    return "alive"
  except ProcessLookupError:
    return ""
  except OSError:
    return "alive"
