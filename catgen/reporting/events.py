"""A file of TensorBoard's events, on a disk or in an object store."""

import functools
import time
from typing import Any

from catgen import remote
from catgen.paths import join, make_folder

FLUSH_SECONDS = 10.0
_SCHEME = "catgen-store"  # of paths that tensorboardX leaves to `_Stored`


class Events:
  """A file of TensorBoard's events. It is written here and now: SummaryWriter leaves that to a thread, which a full
  disk ends, and then waits for ever as soon as its queue is full."""

  def __init__(self, folder: str, suffix: str):
    from tensorboardX.event_file_writer import EventsWriter

    make_folder(folder)
    path = join(folder, "events")
    if remote.is_remote(path):
      _register()
      path = f"{_SCHEME}:{path}"
    self._writer = EventsWriter(path, suffix)
    self._flushed_at = time.monotonic()

  def add(self, step: int, **content: Any) -> None:
    """Adds an event, which is written within `FLUSH_SECONDS` and the next one."""
    from tensorboardX.proto.event_pb2 import Event

    self._writer.write_event(Event(wall_time=time.time(), step=step, **content))
    if time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
      self.flush()

  def flush(self) -> None:
    """Writes what was added."""
    self._writer.flush()
    self._flushed_at = time.monotonic()

  def close(self) -> None:
    """Writes what was added, and ends the file."""
    self._writer.close()


class _Stored:
  """A file in an object store: all that was written is sent with each flush."""

  def __init__(self, path: str):
    self._path, self._content, self._sent = path, bytearray(), 0

  def write(self, content: bytes) -> None:
    """Adds to the file."""
    self._content += content

  def flush(self) -> None:
    """Sends the file. Raises OSError where the store refuses."""
    if len(self._content) > self._sent:
      remote.write(self._path, bytes(self._content))
      self._sent = len(self._content)

  def close(self) -> None:
    """Sends the file."""
    self.flush()


class _Stores:
  """What tensorboardX asks for files: in a store no folder has to be made."""

  def open(self, path: str) -> _Stored:
    """Returns a file to write."""
    return _Stored(path.removeprefix(f"{_SCHEME}:"))

  def directory_check(self, path: str) -> None:
    """Makes nothing."""


@functools.cache
def _register() -> None:
  from tensorboardX.record_writer import register_writer_factory

  register_writer_factory(_SCHEME, _Stores())
