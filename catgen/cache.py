"""The cache: copies on this machine of what lies in an object store, for as long as a process needs them.

It is a folder of each process in `catgen-UID` of the folder for temporary files, which TMPDIR names; what processes
have left there that were killed is removed by the next.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator

from catgen.interfaces import InputError


@contextlib.contextmanager
def cache() -> Iterator[str]:
  """Gives an empty folder of this process, which vanishes with the block, or when another process finds it left."""
  home = os.path.join(tempfile.gettempdir(), f"catgen-{os.getuid()}")
  try:
    os.makedirs(home, mode=0o700, exist_ok=True)
    with _alone(home):
      for name in os.listdir(home):
        _remove_left(os.path.join(home, name))
      folder = tempfile.mkdtemp(dir=home)
      held = os.open(folder, os.O_RDONLY)
      fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError as error:
    raise InputError(f"cannot write the cache {home}: {error.strerror}; set TMPDIR to a folder with room") from error
  try:
    yield folder
  finally:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(held)


def _remove_left(folder: str) -> None:
  """Removes a folder of the cache whose process is gone: the kernel has let go of its lock."""
  with contextlib.suppress(OSError):
    place = os.open(folder, os.O_RDONLY)
    try:
      fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
      shutil.rmtree(folder, ignore_errors=True)
    finally:
      os.close(place)


@contextlib.contextmanager
def _alone(home: str) -> Iterator[None]:
  """Lets one process at a time into the block, so that none removes a folder that has just been made."""
  place = os.open(home, os.O_RDONLY)
  try:
    fcntl.flock(place, fcntl.LOCK_EX)
    yield
  finally:
    os.close(place)
