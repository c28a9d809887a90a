"""Who holds a work directory: what `lock.json` says of a process, and whether that process lives."""

import json
import os
import pathlib
import socket
import sys
import time
import uuid
from typing import Any, NamedTuple

from catgen.files import from_json
from catgen.interfaces import InputError

FILE_NAME = "lock.json"
BEAT_SECONDS = 10.0
STALE_SECONDS = 60.0  # without a beat; hosts' clocks do not matter, both times are the file system's, or the store's


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


class InUse(InputError):  # noqa: N818 as InputError, it is told and not traced
  """Another process holds a work directory."""

  def __init__(self, message: str, by: Owner | str):
    super().__init__(message)
    self.by = by


def parsed(content: bytes) -> Owner | None:
  """Returns what a lock says; None where it is empty or damaged."""
  try:
    found: Any = from_json(content)
    owner = Owner(**{name: value for name, value in found.items() if name != "beat"})
    texts = (owner.host, owner.started, owner.boot, owner.born, owner.token)
    return owner if type(owner.pid) is int and all(isinstance(value, str) for value in texts) else None
  except (ValueError, TypeError, AttributeError):
    return None


def content_of(owner: Owner, beat: int | None = None) -> bytes:
  """Returns what a lock says of its owner; beat: a number that makes contents differ."""
  return json.dumps(owner._asdict() | ({} if beat is None else {"beat": beat})).encode()


def refused(folder: str | os.PathLike[str], owner: Owner | None) -> InUse:
  """Returns what to tell a user whose work directory another process holds."""
  by = owner or "another process"
  return InUse(f"{folder} is in use by {by}: wait for it, end it, or choose another --workdir", by)


def taken_over(folder: str | os.PathLike[str], owner: Owner | None) -> InputError:
  """Returns what to tell a user whose work directory another process has taken."""
  return InputError(
    f"{folder} was taken over by {owner or 'another process'}, since this process gave no sign of life; ended"
  )


def left_by(folder: str | os.PathLike[str], owner: Owner) -> str:
  """Returns that a lock was left by the dead."""
  return f"{folder} was left locked by {owner}, which is gone; going on"


def waiting_for(folder: str | os.PathLike[str], owner: Owner) -> str:
  """Returns that a process which cannot be seen is given the time for a sign."""
  return f"{folder} was held by {owner}; waiting up to {STALE_SECONDS:.0f} s for a sign of life"


def is_near(owner: Owner) -> bool:
  """Returns whether this process can see that one: the same machine, not started again, and space of numbers."""
  return owner.host == socket.gethostname() and owner.boot == _boot()


def runs(owner: Owner) -> bool:
  """Returns whether a process that is near still runs."""
  return _born(owner.pid) == owner.born


def this_process() -> Owner:
  """Returns this process as the owner of a new lock."""
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
