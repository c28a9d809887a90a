"""Checkpoints in an object store: written to this machine's cache and sent, or fetched to it and read.

A checkpoint is a folder `checkpoints/STEP` as on a disk. Empty objects beside it say whether it is whole:
`STEP.upload-of-N` is written before the first of its files, `STEP.part-K-of-N` by process K of N after its last. It
counts when it has all of its parts, or none of these objects, as one that somebody has copied there. So a killed upload
is never taken for a checkpoint, and no process waits for another.
"""

import contextlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jax.experimental import multihost_utils

from catgen import remote
from catgen.cache import cache
from catgen.paths import join, names_in
from catgen.training import folders

_OTHER_CACHE = "set TMPDIR to another folder"
_NUMBER = "0|[1-9][0-9]{0,18}"
_MARK = re.compile(rf"({_NUMBER})\.(?:upload-of-(\d+)|part-(\d+)-of-(\d+))")


@runtime_checkable
class Writer(Protocol):
  """Writes one folder after another on this machine's disk, as Orbax's `AsyncCheckpointer` does."""

  def save(self, directory: str, args: Any) -> None:
    """Returns once the arrays are copied."""

  def wait_until_finished(self) -> None:
    """Waits for the folder."""

  def check_for_errors(self) -> None:
    """Raises what went wrong."""

  def close(self) -> None:
    """Frees the threads."""


class StoreManager:
  """Does for a store what Orbax's `CheckpointManager` does for a disk, with one checkpoint in the cache at a time."""

  def __init__(
    self,
    directory: str,
    open_writer: Callable[[str], Writer],
    kept: Callable[[Sequence[int]], set[int]],
    known: Sequence[int] | None = None,
  ):
    """Opens a folder of a store.

    Args:
      directory: URL of the checkpoints.
      open_writer: returns what writes files to a folder of the cache, for one checkpoint; every process writes its own
        part.
      kept: returns which of some finished steps are to stay; the first process removes the others.
      known: the steps that are taken for there where the store does not say; None: it must.

    Raises:
      OSError: the store does not say which steps are there.
      InputError: the cache cannot be used.
    """
    self.directory, self._open_writer, self._kept = directory, open_writer, kept
    try:
      self._steps = set(steps_in(directory))  # as this process knows them: all processes must answer alike
    except OSError:
      if known is None:
        raise
      self._steps = set(known)
    self._stack = contextlib.ExitStack()
    self._cache = self._stack.enter_context(cache())
    folders.check(self._cache, _OTHER_CACHE)
    self._thread: threading.Thread | None = None
    self._sending: int | None = None
    self._error: BaseException | None = None

  def all_steps(self) -> list[int]:
    """Returns the steps that are there, or on their way."""
    return sorted(self._steps)

  def reload(self) -> None:
    """Looks again what is there."""
    self._steps = set(steps_in(self.directory))

  def save(self, step: int, *, args: Any) -> None:
    """Sends a checkpoint, and returns once its arrays are copied; all processes must call it.

    Raises:
      OSError: the one before did not arrive, of this process's part or another's.
    """
    self.wait_until_finished()
    if _anywhere(self._error is not None):
      self._error = self._error or remote.StoreError("another process could not send its part")
      self.check_for_errors()
    writer = self._open_writer(self._cache)
    writer.save(self._place(step), args=args)
    self._steps.add(step)
    self._sending = step
    self._thread = threading.Thread(target=self._send, args=(step, writer), name="catgen upload")
    self._thread.start()

  def wait_until_finished(self) -> None:
    """Waits for what is on its way."""
    if self._thread is not None:
      self._thread.join()
      self._thread = None

  def check_for_errors(self) -> None:
    """Raises, once, what went wrong on the way; the step is not there then."""
    error, self._error = self._error, None
    if error is not None:
      self._steps.discard(self._sending if self._sending is not None else -1)
      raise error

  def close(self) -> None:
    """Waits, and clears the cache."""
    self.wait_until_finished()
    self._stack.close()

  def _place(self, step: int) -> str:
    return join(self._cache, str(step))

  def _send(self, step: int, writer: Writer) -> None:
    try:
      writer.wait_until_finished()
      writer.check_for_errors()
      send(self._place(step), self.directory, step, jax.process_index(), jax.process_count())
      if jax.process_index() == 0:
        there = steps_in(self.directory)
        for each in set(there) - self._kept(there):
          remove_step(self.directory, each)
          self._steps.discard(each)
    except BaseException as error:  # raised again where the next is saved, or waited for
      self._error = error
    finally:
      with contextlib.suppress(Exception):  # what went wrong is known
        writer.close()
      shutil.rmtree(self._place(step), ignore_errors=True)


def steps_in(directory: str) -> list[int]:
  """Returns the steps of the whole checkpoints in a folder, in order. Raises OSError where it cannot be read."""
  names = names_in(directory)
  found = sorted(int(name) for name in names if re.fullmatch(_NUMBER, name))
  if not remote.is_remote(directory):
    return found
  unfinished = _unfinished(names)
  return [step for step in found if step not in unfinished]


def _unfinished(names: Sequence[str]) -> set[int]:
  """Returns the steps of which some parts are missing, by the names beside them."""
  wanted: dict[int, int] = {}
  parts: dict[int, set[int]] = {}
  for mark in filter(None, map(_MARK.fullmatch, names)):
    step, upload, part, of = mark.groups()
    if upload is not None:
      wanted[int(step)] = int(upload)
    else:
      wanted.setdefault(int(step), int(of))
      parts.setdefault(int(step), set()).add(int(part))
  return {step for step, count in wanted.items() if not set(range(count)) <= parts.get(step, set())}


def remove_unfinished(directory: str) -> None:
  """Removes what killed uploads have left in a folder of a store. Raises OSError where that fails."""
  for step in _unfinished(names_in(directory)):
    remove_step(directory, step)


def remove_step(directory: str, step: int) -> None:
  """Removes a checkpoint of a store, which is none any more from the first moment on."""
  marks = [name for name in names_in(directory) if (found := _MARK.fullmatch(name)) and found[1] == str(step)]
  if not any("upload" in mark for mark in marks):
    marks.append(f"{step}.upload-of-1")
    remote.write(join(directory, marks[-1]), b"")
  for mark in sorted(marks):  # parts first: "part" < "upload"
    if "upload" in mark:
      remote.remove_below(join(directory, str(step)))
    remote.remove(join(directory, mark))


def set_aside(directory: str, step: int, target: str) -> None:
  """Copies a checkpoint of a store to another path there, and removes it."""
  remote.remove_below(target)
  remote.copy(join(directory, str(step)), target)
  remove_step(directory, step)


def send(place: str, directory: str, step: int, process: int = 0, count: int = 1) -> None:
  """Sends a folder, or a process's part of it, as a checkpoint. Raises OSError where the store refuses."""
  files = {
    os.path.relpath(os.path.join(folder, name), place).replace(os.sep, "/"): os.path.join(folder, name)
    for folder, _, names in os.walk(place)
    for name in names
  }
  remote.write(join(directory, f"{step}.upload-of-{count}"), b"")
  remote.upload(files, join(directory, str(step)))
  remote.write(join(directory, f"{step}.part-{process}-of-{count}"), b"")


@contextlib.contextmanager
def at_hand(directory: str, step: int, items: Sequence[str] | None = None) -> Iterator[str]:
  """Gives a local folder of checkpoints that has the items of a step, or all of it: the folder itself, or a copy.

  Raises:
    OSError: it cannot be fetched.
    InputError: the path of the folder, or of the cache, is one that checkpoints cannot be read from.
  """
  if not remote.is_remote(directory):
    folders.check(directory)
    with folders.whole(directory, step) as folder:
      yield folder
    return
  with cache() as folder:
    folders.check(folder, _OTHER_CACHE)
    origin = join(directory, str(step))
    wanted = [name for name in remote.below(origin) if items is None or name.split("/")[0] in items]
    try:
      remote.download(origin, {name: os.path.join(folder, str(step), name) for name in wanted})
    except FileNotFoundError as error:
      raise remote.StoreError(f"a file of checkpoint {step} has just been removed") from error
    folders.put_together(os.path.join(folder, str(step)))
    yield folder


def copy_step(source: str, target: str, step: int) -> None:
  """Copies a checkpoint from one folder of checkpoints to another, whole or not at all.

  Raises:
    OSError: it cannot be read or written.
  """
  with at_hand(source, step) as place:
    origin = os.path.join(place, str(step))
    if remote.is_remote(target):
      send(origin, target, step)
      return
    begun = os.path.join(target, f"{step}.orbax-checkpoint-tmp")  # what training clears, should this end here
    try:
      shutil.rmtree(begun, ignore_errors=True)
      shutil.copytree(origin, begun)
      os.rename(begun, os.path.join(target, str(step)))
    except OSError:
      shutil.rmtree(begun, ignore_errors=True)
      raise


def _anywhere(failed: bool) -> bool:
  """Returns whether something failed on any process; all must ask."""
  if jax.process_count() == 1:
    return failed
  return bool(np.asarray(multihost_utils.process_allgather(np.int32(failed))).any())
