"""The lock of a work directory in an object store, by the versions of `lock.json`.

It is taken by a write that succeeds only where there is no such object, or only over the version that was read: see
`catgen.remote.replace` for what each store offers. Its owner writes it again every few seconds, over its own version
alone; who finds that another has written has lost it. A lock that has not been written for a minute, by the store's
clock, was left by the dead, and is taken over its last version. One that is let go of stays as an object that says
nothing, since a store cannot be asked to delete one version of an object only.
"""

import contextlib
import threading
import time
from collections.abc import Callable

from catgen import remote
from catgen.paths import parent_of
from catgen.runs import owners
from catgen.runs.owners import Owner

_FREE = b"{}"
_TRIES = 20


class StoreLock:
  """A work directory in a store that is held. Where somebody deletes the object, it is made again."""

  def __init__(self, path: str, owner: Owner, mark: str):
    self.path, self.owner, self._mark, self._beats = path, owner, mark, 0
    self._ended, self._writing = threading.Event(), threading.Lock()
    self._thread = threading.Thread(target=self._beat, name="catgen lock", daemon=True)
    self._thread.start()

  def check(self) -> None:
    """See `lock.Held.check`. A store that cannot be reached says nothing: no checkpoint can be written there either."""
    with contextlib.suppress(OSError):
      found = remote.version(self.path)
      if found is None:
        self._write_again()
      elif not _is_of(found, self.owner):  # it may have been let go of again
        raise owners.taken_over(parent_of(self.path), owners.parsed(found.content))

  def release(self) -> None:
    """See `lock.Held.release`."""
    self._ended.set()
    self._thread.join()
    with contextlib.suppress(OSError), self._writing:
      found = remote.version(self.path)
      if found is not None and _is_of(found, self.owner):
        remote.replace(self.path, _FREE, found.mark)

  def _beat(self) -> None:
    while not self._ended.wait(owners.BEAT_SECONDS):
      with contextlib.suppress(OSError):
        self._write_again()

  def _write_again(self) -> None:
    """Writes the lock over its own version, or where it has vanished; never over another's."""
    with self._writing:
      self._beats += 1
      content = owners.content_of(self.owner, self._beats)
      mark = remote.replace(self.path, content, self._mark)
      if mark is None:  # what was sent before may have arrived although its answer did not
        found = remote.version(self.path)
        if found is None or _is_of(found, self.owner):
          mark = remote.replace(self.path, content + b" ", None if found is None else found.mark)
      self._mark = mark or self._mark


def take(path: str, say: Callable[[str], None]) -> StoreLock:
  """Returns the lock of a work directory, taken.

  Raises:
    InputError: another process holds it.
    OSError: the store refuses.
  """
  owner = owners.this_process()
  for _ in range(_TRIES):
    found = remote.version(path)
    before = None if found is None else owners.parsed(found.content)
    if found is not None and before is not None and _gives_a_sign(path, found, before, say):
      raise owners.refused(parent_of(path), before)
    mark = remote.replace(path, owners.content_of(owner, 0), None if found is None else found.mark)
    now = None if mark is not None else remote.version(path)
    if now is not None and _is_of(now, owner):  # it arrived, and a second sending of it was refused
      mark = now.mark
    if mark is not None:
      if before is not None:
        say(owners.left_by(parent_of(path), before))
      return StoreLock(path, owner, mark)
  raise owners.refused(parent_of(path), None)


def owner_of(path: str) -> Owner | None:
  """Returns the living process that a lock names, None where there is none."""
  try:
    found = remote.version(path)
    owner = None if found is None else owners.parsed(found.content)
    return owner if found is not None and owner is not None and _lives(path, found, owner) else None
  except OSError:
    return None


def token_of(path: str) -> str | None:
  """Returns the token of a lock, None where there is none or the store does not say."""
  try:
    found = remote.version(path)
  except OSError:
    return None
  owner = None if found is None else owners.parsed(found.content)
  return None if owner is None else owner.token


def _is_of(found: remote.Version, owner: Owner) -> bool:
  named = owners.parsed(found.content)
  return named is not None and named.token == owner.token


def _lives(path: str, found: remote.Version, owner: Owner) -> bool:
  if owners.is_near(owner):
    return owners.runs(owner)
  try:
    now = remote.clock(path)
  except OSError:  # read-only: this machine's clock must do
    now = time.time()
  return now - found.written < owners.STALE_SECONDS


def _gives_a_sign(path: str, found: remote.Version, owner: Owner, say: Callable[[str], None]) -> bool:
  """Returns whether a process lives; one that cannot be seen is given the time for a sign, as on a disk."""
  if owners.is_near(owner) or not _lives(path, found, owner):
    return _lives(path, found, owner)
  say(owners.waiting_for(parent_of(path), owner))
  patience = time.monotonic() + owners.STALE_SECONDS  # a clock that was set back counts for nothing
  while _lives(path, found, owner) and time.monotonic() < patience:
    time.sleep(min(1.0, owners.STALE_SECONDS / 10))
    now = remote.version(path)
    if now is None or now.mark != found.mark:
      return now is not None and owners.parsed(now.content) is not None
  return False
