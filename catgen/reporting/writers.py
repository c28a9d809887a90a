"""Writes what happens during training: JSON lines (`metrics.jsonl`), for TensorBoard, and to experiment trackers."""

import contextlib
import functools
import io
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from catgen import remote
from catgen.files import from_json, read_bytes, replacing, write_error, write_text
from catgen.interfaces import InputError
from catgen.paths import exists, join, make_folder, name_of
from catgen.reporting import tracking as tracked
from catgen.reporting.events import Events
from catgen.reporting.tracking import Told, Tracking

FILE_NAME = "metrics.jsonl"
FLUSH_SECONDS = 10.0  # between two times that lines are sent to a store, which cannot append: all are, each time
_SHARE_OF_TIME = 0.05  # that sending may take


class Writers(NamedTuple):
  """Where numbers go. Every line is on disk when `write` returns, in an object store when `flush` does."""

  write: Callable[[int, Mapping[str, Any]], None]  # (step, {"train/bits": 3.1, ...}); not a number becomes null
  flush: Callable[[], None]
  close: Callable[[], None]  # safe to call twice
  show: Callable[[int, Sequence[str | os.PathLike[str]]], None]  # (step, paths of pictures)


def open_writers(
  workdir: str | os.PathLike[str],
  start_step: int = 0,
  *,
  tensorboard: bool = True,
  tracking: Tracking = tracked.NONE,
  say: Callable[[str], None] = print,
) -> Writers:
  """Returns writers into `workdir`. One process writes; the others use `no_writers`.

  Args:
    workdir: made if missing; gets metrics.jsonl and, for TensorBoard, the folder tensorboard/.
    start_step: the step that training goes on from. Lines of later steps, written before a crash, are dropped (and
      TensorBoard hides them), so that no curve has a step twice. A file with damaged lines is kept aside.
    tensorboard: False to write no files for TensorBoard.
    tracking: the experiment trackers that are told besides, none by default; see `tracking`.
    say: receives a line where TensorBoard's files cannot be written and are left out, lines were damaged, or a tracker
      fails; and where each tracker shows the run.

  Raises:
    InputError: the disk is full or the directory is not writable, now or at a later write; what such a write has left
      of its line is taken back, and the line comes with the next one that finds room, or at the close.
  """
  path = join(workdir, FILE_NAME)
  try:
    make_folder(workdir)
    _drop_lines_after(path, start_step, say)
    append = _Sending(path).append if remote.is_remote(path) else functools.partial(_append, path)
    append([], due=True)
  except OSError as error:
    raise write_error(path, error) from error
  late: list[bytes] = []  # lines that are not on disk yet
  board = _Board(join(workdir, "tensorboard"), start_step, say) if tensorboard else None
  told = Told(workdir, tracking, say)
  closed = False

  def write(step: int, values: Mapping[str, Any]) -> None:
    plain = {name: _plain(value) for name, value in values.items()}
    if board is not None:
      board.write(int(step), plain)
    told.write(int(step), plain)
    late.append((json.dumps({"step": int(step), **plain}, allow_nan=False) + "\n").encode())
    append(late)

  def close() -> None:
    nonlocal closed
    if not closed:
      closed = True
      with contextlib.suppress(InputError):
        append(late, due=True)
      if board is not None:
        board.close()
      told.close()

  def show(step: int, paths: Sequence[str | os.PathLike[str]]) -> None:
    if tensorboard:
      show_on_board(workdir, step, paths)
    told.show(step, paths)

  def flush() -> None:
    append(late, due=True)
    if board is not None:
      board.flush()

  return Writers(write, flush, close, show)


def no_writers() -> Writers:
  """Returns writers that write nothing."""
  return Writers(lambda step, values: None, lambda: None, lambda: None, lambda step, paths: None)


def show_pictures(
  workdir: str | os.PathLike[str],
  step: int,
  paths: Iterable[str | os.PathLike[str]],
  say: Callable[[str], None] = print,
) -> None:
  """Shows pictures (PNG or GIF, as they are) in TensorBoard and in the trackers of a run that was trained before.

  They stand at a checkpoint's step and under the names of their files. `say` receives a line where a tracker fails.

  Raises:
    InputError: the disk is full or the directory is not writable.
  """
  paths = list(paths)
  show_on_board(workdir, step, paths)
  tracked.later(workdir, say, step=step, paths=paths)


def show_on_board(workdir: str | os.PathLike[str], step: int, paths: Iterable[str | os.PathLike[str]]) -> None:
  """Shows pictures (PNG or GIF, as they are) in TensorBoard, at a checkpoint's step, by the names of their files.

  They have a folder of their own below that of the numbers: beside a file that training still writes, TensorBoard would
  go on to the newer file and not come back.

  Raises:
    InputError: the disk is full or the directory is not writable.
  """
  from PIL import Image
  from tensorboardX.proto.summary_pb2 import Summary

  path, values = join(workdir, "tensorboard", "pictures"), []
  try:
    for picture in paths:
      content = read_bytes(picture)
      width, height = Image.open(io.BytesIO(content)).size
      shown = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=content)
      values.append(Summary.Value(tag=name_of(picture).rpartition(".")[0], image=shown))
    board = Events(path, f".{time.time_ns()}")  # two calls in a second need two files
    board.add(step, summary=Summary(value=values))
    board.close()
  except OSError as error:
    raise write_error(path, error) from error


def read_metrics(path: str | os.PathLike[str], say: Callable[[str], None] | None = None) -> list[dict[str, Any]]:
  """Returns the lines of a metrics.jsonl in order; a last line cut short by a crash is left out.

  Each has a "step" and what was measured there, "train/bits" for example in bits per position.

  Args:
    path: of the file.
    say: where it is given, other damaged lines are left out too, and it receives a line about them.

  Raises:
    InputError: the file is missing, or a line that may not be left out is damaged.
  """
  records, damaged = _read_lines(path)
  if damaged and say is None:
    raise InputError(f"line {damaged[0]} of {path} is damaged: remove it")
  if damaged and say is not None:
    say(f"line {damaged[0]} of {path} is damaged, {len(damaged)} in all: left out")
  return records


def _read_lines(path: str | os.PathLike[str]) -> tuple[list[dict[str, Any]], list[int]]:
  """Returns the records of a file, and the numbers of the lines that are none; a last one is not counted."""
  try:
    # what a crash has left behind may be no text; it is no JSON either way
    lines = read_bytes(path).decode(errors="replace").splitlines()
  except OSError as error:
    raise InputError(f"cannot read {path}: {error.strerror or error}") from error
  records, damaged = [], []
  for number, line in enumerate(lines, start=1):
    record = _record(line)
    if record is not None:
      records.append(record)
    elif number < len(lines):
      damaged.append(number)
  return records, damaged


def _record(line: str) -> dict[str, Any] | None:
  """Returns what a line says, None where it is no record: a step, and by the name of a curve a number or null."""
  try:
    found = from_json(line)
  except ValueError:
    return None
  if not isinstance(found, dict) or type(found.get("step")) is not int:
    return None
  measured = (value for name, value in found.items() if "/" in name)
  return found if all(value is None or isinstance(value, int | float) for value in measured) else None


def _drop_lines_after(path: str, step: int, say: Callable[[str], None]) -> None:
  """Keeps the lines up to a step; the file is rewritten beside itself and renamed, or left alone if nothing goes."""
  if not exists(path):
    return
  records, damaged = _read_lines(path)
  text = "".join(json.dumps(record) + "\n" for record in records if record["step"] <= step)
  before = read_bytes(path)
  if text.encode() == before:
    return
  if damaged:
    aside = f"{path}.damaged"
    with replacing(aside) as file:
      file.write(before)
    say(f"line {damaged[0]} of {path} is damaged, {len(damaged)} in all: left out, the file as it was is {aside}")
  write_text(path, text)


def _append(path: str, lines: list[bytes], *, due: bool = True) -> None:
  """Moves lines to the end of a file, each whole or not at all. The file may have been moved away since the last."""
  try:
    file = _opened(path)
    try:
      while lines:
        _append_line(file, lines[0])
        lines.pop(0)
    finally:
      os.close(file)
  except OSError as error:
    raise write_error(path, error) from error


def _append_line(file: int, line: bytes) -> None:
  size = os.fstat(file).st_size
  try:
    while line:
      line = line[os.write(file, line) :]
  except OSError:
    with contextlib.suppress(OSError):
      os.ftruncate(file, size)
    raise


def _opened(path: str) -> int:
  return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


class _Sending:
  """A file of lines in an object store."""

  def __init__(self, path: str):
    self.path, self.content = path, read_bytes(path) if exists(path) else b""
    self.next_at = 0.0

  def append(self, lines: list[bytes], *, due: bool = False) -> None:
    """Moves lines to the end of the file, which is sent where it is due. Raises InputError where that fails."""
    self.content += b"".join(lines)
    lines.clear()
    if not due and time.monotonic() < self.next_at:
      return
    started = time.monotonic()
    try:
      with replacing(self.path) as file:
        file.write(self.content)
    finally:
      ended = time.monotonic()
      self.next_at = ended + max(FLUSH_SECONDS, (ended - started) / _SHARE_OF_TIME)


class _Board:
  """TensorBoard's files, as long as they can be written."""

  def __init__(self, folder: str, start_step: int, say: Callable[[str], None]):
    self._folder, self._say = folder, say
    self._events: Events | None = None
    self._trying(lambda: self._open(start_step))

  def write(self, step: int, values: Mapping[str, Any]) -> None:
    """Adds the numbers among the values."""
    from tensorboardX.proto.summary_pb2 import Summary

    numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
    summary = Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in numbers.items()])
    if self._events is not None:
      self._trying(functools.partial(self._events.add, step, summary=summary))

  def flush(self) -> None:
    """Writes what is not on disk yet."""
    if self._events is not None:
      self._trying(self._events.flush)

  def close(self) -> None:
    """Writes what is not on disk yet, and ends the file."""
    if self._events is not None:
      self._trying(self._events.close)

  def _open(self, start_step: int) -> None:
    from tensorboardX.proto.event_pb2 import SessionLog

    # the suffix keeps the file apart from that of a run which was started in the same second
    self._events = Events(self._folder, f".from{start_step}")
    if start_step:  # hides what earlier files have of later steps
      self._events.add(start_step + 1, file_version="brain.Event:2")
      self._events.add(start_step + 1, session_log=SessionLog(status=SessionLog.START))

  def _trying(self, act: Callable[[], Any]) -> None:
    try:
      act()
    except OSError as error:
      self._events = None
      self._say(f"warning: {write_error(self._folder, error)}; the work goes on without TensorBoard")


def _plain(value: Any) -> Any:
  """Returns a JSON value: NumPy and JAX scalars become Python's, and what is not finite None."""
  if isinstance(value, str | bool) or value is None:
    return value
  number = value if isinstance(value, int | float) else value.item()
  return number if math.isfinite(number) else None
