"""Two caches: copies of what lies in an object store, as long as a process needs them; and what the next can use again.

The first is a folder of each process in `catgen-UID` of the folder for temporary files, which TMPDIR names; what
processes have left there that were killed is removed by the next.

The second is a folder of the user's, of things that can be made again: CATGEN_CACHE names it, and "off" means that
nothing is kept; otherwise it is $XDG_CACHE_HOME/catgen, or ~/.cache/catgen. Many processes may use it at once.
"""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping

from catgen.interfaces import InputError
from catgen.paths import alone, hold, remove_left


def kept(name: str, *, limit: int) -> str | None:
  """Returns a folder of the cache that stays; None where there is none, where it cannot be written, or all users may.

  Args:
    name: of the folder, with slashes.
    limit: bytes that it may have: beyond these, what was not used for longest is removed.
  """
  home = _home(os.environ)
  if home is None:
    return None
  folder = os.path.join(home, name)
  try:
    os.makedirs(folder, mode=0o700, exist_ok=True)
    _prune(folder, limit)
  except OSError:
    return None
  open_to_all = os.stat(folder).st_mode & 0o002
  return folder if os.access(folder, os.R_OK | os.W_OK | os.X_OK) and not open_to_all else None


def _home(environment: Mapping[str, str]) -> str | None:
  named = environment.get("CATGEN_CACHE", "")
  if named:
    return None if named == "off" else os.path.abspath(os.path.expanduser(named))
  place = environment.get("XDG_CACHE_HOME", "")
  if not os.path.isabs(place):  # as its specification says
    place = os.path.expanduser("~/.cache")
  return os.path.join(place, "catgen") if os.path.isabs(place) else None  # a user without a home


def _prune(folder: str, limit: int) -> None:
  """Removes the files below a folder that were used least recently, until the others have so many bytes at most."""
  found = []
  for place, _, names in os.walk(folder):
    for name in names:
      path = os.path.join(place, name)
      with contextlib.suppress(OSError):  # another process has removed it
        state = os.stat(path)
        found.append((max(state.st_atime, state.st_mtime), state.st_size, path))
  total = sum(size for _, size, _ in found)
  for _, size, path in sorted(found):
    if total <= limit:
      return
    with contextlib.suppress(OSError):
      os.remove(path)
      total -= size


@contextlib.contextmanager
def cache() -> Iterator[str]:
  """Gives an empty folder of this process, which vanishes with the block, or when another process finds it left."""
  home = os.path.join(tempfile.gettempdir(), f"catgen-{os.getuid()}")
  try:
    os.makedirs(home, mode=0o700, exist_ok=True)
    if os.stat(home).st_uid != os.getuid():  # whoever made it could change what is put there
      raise PermissionError(errno.EPERM, "it belongs to another user")
    with alone(home):
      for name in os.listdir(home):
        remove_left(os.path.join(home, name))
      folder = tempfile.mkdtemp(dir=home)
      held = os.open(folder, os.O_RDONLY)
      hold(held)
  except OSError as error:
    raise InputError(f"cannot write the cache {home}: {error.strerror}; set TMPDIR to a folder with room") from error
  try:
    yield folder
  finally:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(held)
