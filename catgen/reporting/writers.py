"""Writes what happens during training, as JSON lines (`metrics.jsonl`) and for TensorBoard."""

import json
import math
import os
import pathlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from catgen.files import write_text
from catgen.interfaces import InputError

FILE_NAME = "metrics.jsonl"


class Writers(NamedTuple):
  """Where numbers go. Every line is on disk when `write` returns."""

  write: Callable[[int, Mapping[str, Any]], None]  # (step, {"train/bits": 3.1, ...}); not a number becomes null
  close: Callable[[], None]  # safe to call twice


def open_writers(workdir: str | os.PathLike[str], start_step: int = 0, *, tensorboard: bool = True) -> Writers:
  """Returns writers into `workdir`. One process writes; the others use `no_writers`.

  Args:
    workdir: made if missing; gets metrics.jsonl and, for TensorBoard, the folder tensorboard/.
    start_step: the step that training goes on from. Lines of later steps, written before a crash, are dropped (and
      TensorBoard hides them), so that no curve has a step twice.
    tensorboard: False to write JSON lines only.

  Raises:
    InputError: the disk is full or the directory is not writable, now or at a later write.
  """
  path = pathlib.Path(workdir) / FILE_NAME
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    _drop_lines_after(path, start_step)
    file = open(path, "a")  # noqa: SIM115
    board = _open_tensorboard(path.parent / "tensorboard", start_step) if tensorboard else None
  except OSError as error:
    raise _disk_error(path, error) from error

  def write(step: int, values: Mapping[str, Any]) -> None:
    plain = {name: _plain(value) for name, value in values.items()}
    try:
      file.write(json.dumps({"step": int(step), **plain}, allow_nan=False) + "\n")
      file.flush()
      for name, value in plain.items():
        if board is not None and isinstance(value, int | float):
          board.add_scalar(name, value, int(step))
    except OSError as error:
      raise _disk_error(path, error) from error

  def close() -> None:
    try:
      file.close()
      if board is not None:
        board.close()
    except OSError as error:
      raise _disk_error(path, error) from error

  return Writers(write, close)


def no_writers() -> Writers:
  """Returns writers that write nothing."""
  return Writers(lambda step, values: None, lambda: None)


def show_pictures(workdir: str | os.PathLike[str], step: int, paths: Iterable[str | os.PathLike[str]]) -> None:
  """Shows pictures (PNG or GIF, as they are) in TensorBoard, at a checkpoint's step and under the names of their files.

  They have a folder of their own below that of the numbers: beside a file that training still writes, TensorBoard would
  go on to the newer file and not come back.

  Raises:
    InputError: the disk is full or the directory is not writable.
  """
  from PIL import Image
  from tensorboardX.proto.summary_pb2 import Summary
  from tensorboardX.writer import FileWriter

  path, values = pathlib.Path(workdir) / "tensorboard" / "pictures", []
  try:
    for picture in map(pathlib.Path, paths):
      width, height = Image.open(picture).size
      shown = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=picture.read_bytes())
      values.append(Summary.Value(tag=picture.stem, image=shown))
    board = FileWriter(str(path), filename_suffix=f".{time.time_ns()}")  # two calls in a second need two files
    board.add_summary(Summary(value=values), step)
    board.close()
  except OSError as error:
    raise _disk_error(path, error) from error


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
  """Returns the lines of a metrics.jsonl in order; a last line cut short by a crash is left out.

  Each has a "step" and what was measured there, "train/bits" for example in bits per position.

  Raises:
    InputError: the file is missing or another line is damaged.
  """
  try:
    # what a crash has left behind may be no text; it is no JSON either way
    lines = pathlib.Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
  except OSError as error:
    raise InputError(f"cannot read {path}: {error.strerror}") from error
  records = []
  for number, line in enumerate(lines, start=1):
    try:
      records.append(json.loads(line))
    except ValueError as error:
      if number == len(lines):
        break
      raise InputError(f"line {number} of {path} is damaged: remove it") from error
  return records


def _drop_lines_after(path: pathlib.Path, step: int) -> None:
  """Keeps the lines up to a step; the file is rewritten beside itself and renamed, or left alone if nothing goes."""
  if not path.exists():
    return
  kept = [record for record in read_metrics(path) if record["step"] <= step]
  text = "".join(json.dumps(record) + "\n" for record in kept)
  if text.encode() == path.read_bytes():
    return
  write_text(path, text)


def _open_tensorboard(folder: pathlib.Path, start_step: int) -> Any:
  from tensorboardX import SummaryWriter

  # the suffix keeps the file apart from that of a run which was started in the same second
  purge_step = start_step + 1 if start_step else None
  return SummaryWriter(str(folder), purge_step=purge_step, filename_suffix=f".from{start_step}")


def _plain(value: Any) -> Any:
  """Returns a JSON value: NumPy and JAX scalars become Python's, and what is not finite None."""
  if isinstance(value, str | bool) or value is None:
    return value
  number = value if isinstance(value, int | float) else value.item()
  return number if math.isfinite(number) else None


def _disk_error(path: pathlib.Path, error: OSError) -> InputError:
  return InputError(f"cannot write {path}: {error.strerror or error}; free space or choose another work directory")
