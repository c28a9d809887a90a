"""Paths of files and folders, on a disk or in an object store: what they are called, what is there, moving it away.

A path is local, or the URL of a store: gs://bucket/run, s3://bucket/run, see `catgen.remote`. A folder of a store is
what the names of objects share; it is there with its first file.
"""

import contextlib
import fcntl
import glob
import os
import pathlib
import shutil
import time
from collections.abc import Callable, Iterator

from catgen import remote
from catgen.interfaces import InputError

Path = str | os.PathLike[str]
_SETTLED = 2.0  # seconds


def expanded(path: Path) -> str:
  """Returns a path with ~ expanded, or a URL, without a slash at its end and its protocol in small letters.

  Raises:
    InputError: a URL that names no bucket, or whose protocol is unknown or needs a package that is not installed.
  """
  path = os.fspath(path)
  if not remote.is_remote(path):
    return os.path.expanduser(path)
  remote.check(path)
  return remote.normal(path)


def absolute(path: Path) -> str:
  """Returns a path that names the same file from every folder. Raises InputError for a URL that names no bucket."""
  return remote.normal(os.fspath(path)) if remote.is_remote(path) else os.path.abspath(path)


def join(folder: Path, *names: str) -> str:
  """Returns the path of something in a folder.

  >>> join("runs/a", "scores", "x.npz"), join("gs://bucket/a/", "config.json")
  ('runs/a/scores/x.npz', 'gs://bucket/a/config.json')
  """
  return os.path.join(folder, *names)


def parent_of(path: Path) -> str:
  """Returns the folder of a file. Raises InputError for a URL that names no file: of a bucket alone, or of none."""
  if not remote.is_remote(path):
    return str(pathlib.PurePath(path).parent)
  folder = remote.normal(os.fspath(path)).rpartition("/")[0]
  if folder.endswith(":/"):
    raise InputError(f"{os.fspath(path)} names a bucket and no file in it; add the name of one")
  return folder


def name_of(path: Path) -> str:
  """Returns the name of a file or folder without the folders that it lies in."""
  return os.path.basename(path)


def inside(path: Path, folder: Path) -> str:
  """Returns the path of a file from a folder that it lies in, with slashes: "a/b.png"."""
  if remote.is_remote(path):
    return os.fspath(path).removeprefix(os.fspath(folder).rstrip("/") + "/")
  return os.path.relpath(path, folder).replace(os.sep, "/")


def ending_of(path: Path) -> str:
  """Returns the ending of a file's name with its dot, in lower case; "" where there is none."""
  return os.path.splitext(name_of(path))[1].lower()


def exists(path: Path) -> bool:
  """Returns whether there is a file or folder. Raises InputError where a store does not say."""
  return is_file(path) or is_folder(path) if remote.is_remote(path) else os.path.exists(path)


def is_file(path: Path) -> bool:
  """Returns whether there is a file: no folder, no pipe, no device. Raises as `exists` does."""
  return _asked(path, lambda url: remote.size(url) is not None) if remote.is_remote(path) else os.path.isfile(path)


def is_folder(path: Path) -> bool:
  """Returns whether there is a folder. Raises as `exists` does."""
  return _asked(path, remote.is_folder) if remote.is_remote(path) else os.path.isdir(path)


def _asked(path: Path, ask: Callable[[str], bool]) -> bool:
  """Returns what a store says. Where it does not, nothing may be taken for missing that is there."""
  try:
    return ask(os.fspath(path))
  except OSError as error:
    raise InputError(
      f"cannot look for {os.fspath(path)}: {error}; check the address, credentials and network"
    ) from error


def size_of(path: Path) -> int:
  """Returns the bytes of a file. Raises OSError where there is none."""
  if not remote.is_remote(path):
    return os.path.getsize(path)
  size = remote.size(os.fspath(path))
  if size is None:
    raise FileNotFoundError(os.fspath(path))
  return size


def state_of(path: Path) -> tuple[int, str | None]:
  """Returns the bytes of a file, and a mark that changes when it is written; None: none tells that yet.

  The time of a file tells its content from the next once it lies two seconds back.
  """
  if remote.is_remote(path):
    return remote.state(os.fspath(path))
  found = os.stat(path)
  settled = time.time() - found.st_mtime >= _SETTLED
  return found.st_size, f"{found.st_mtime_ns} {found.st_ino}" if settled else None


def names_in(folder: Path) -> list[str]:
  """Returns the names in a folder, in any order; none where it is not there. Raises OSError where it cannot be read."""
  if remote.is_remote(folder):
    return remote.names(os.fspath(folder))
  try:
    return os.listdir(folder)
  except (FileNotFoundError, NotADirectoryError):
    return []


def sizes_below(folder: Path) -> dict[str, int]:
  """Returns the bytes of the files below a folder, by their paths from there, as far as they can be read."""
  if remote.is_remote(folder):
    return remote.below(os.fspath(folder))
  found = {}
  for place, _, files in os.walk(folder):
    for name in files:
      path = os.path.join(place, name)
      with contextlib.suppress(OSError):  # a running job has removed it
        found[os.path.relpath(path, folder).replace(os.sep, "/")] = os.lstat(path).st_size
  return found


def folders_with(name: str, folder: Path) -> Iterator[str]:
  """Yields the paths of the folders, from one downwards, that hold a file of a name, in order; none inside another."""
  if not remote.is_remote(folder):
    for place, folders, _ in os.walk(folder):
      if os.path.exists(os.path.join(place, name)):
        folders[:] = []
        yield place
      folders.sort()
    return
  top, last = os.fspath(folder).rstrip("/"), None
  for inside in sorted(f"/{each}".rpartition("/")[0] for each in remote.below(top) if name_of(each) == name):
    if last is None or not f"{inside}/".startswith(f"{last}/"):
      last = inside
      yield f"{top}{inside}"


def matching(pattern: str) -> list[str]:
  """Returns the paths of the files that a pattern names, sorted, less hidden ones; ** is any depth.

  Where there is a file of just that name, "book[1].txt", it is no pattern.
  """
  if glob.has_magic(pattern) and is_file(pattern):
    return [pattern]
  if remote.is_remote(pattern):
    return [name for name in remote.matching(pattern) if "/." not in name.partition("://")[2]]
  return sorted(name for name in glob.glob(pattern, recursive=True) if os.path.isfile(name))


def matching_folders(pattern: str) -> list[str]:
  """Returns the paths of the folders that a pattern names, sorted."""
  if not remote.is_remote(pattern):
    return sorted(name for name in glob.glob(pattern) if os.path.isdir(name))
  return remote.matching(pattern, "directory")


def normal(path: Path) -> str:
  """Returns a path without a slash at its end and without what it says twice, a/./b//c."""
  return remote.normal(os.fspath(path)) if remote.is_remote(path) else os.path.normpath(path)


def remove_folder(folder: Path) -> None:
  """Removes a folder and all in it, as far as that is possible."""
  if remote.is_remote(folder):
    with contextlib.suppress(OSError):
      remote.remove_below(os.fspath(folder))
  else:
    shutil.rmtree(folder, ignore_errors=True)


def move_folder(folder: Path, target: Path) -> None:
  """Gives a folder another path, beside it, in place of what is there. In a store its files are copied and removed.

  Raises:
    OSError: it cannot.
  """
  remove_folder(target)
  if remote.is_remote(folder):
    remote.copy(os.fspath(folder), os.fspath(target))
    remote.remove_below(os.fspath(folder))
  else:
    os.rename(folder, target)


def make_folder(folder: Path) -> None:
  """Makes a folder, and those that it lies in. Raises OSError where it cannot; in a store there is nothing to make."""
  if not remote.is_remote(folder):
    os.makedirs(folder, exist_ok=True)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
  """Lets one process at a time into the block, for what is changed in a folder step by step.

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


def hold(file: int) -> None:
  """Locks an open file or folder for this process until it is closed. Where the file system has no locks it does
  nothing."""
  with contextlib.suppress(OSError):
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_left(path: Path) -> None:
  """Removes a file or folder of a disk whose process held it (`hold`) and is gone: the kernel has let go of its lock.

  Where the file system has no locks nobody can know, and it stays.
  """
  with contextlib.suppress(OSError):
    place = os.open(path, os.O_RDONLY)
    try:
      fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
      shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    finally:
      os.close(place)
