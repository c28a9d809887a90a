"""The validation's numbers that stand beside a checkpoint, and which checkpoints are kept because of them."""

import json
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from catgen.files import from_json, read_bytes, write_text
from catgen.paths import join, move_folder, parent_of


class Preservation(NamedTuple):
  """Which checkpoints stay when a new one is written: Orbax asks it. The numbers are read from the disk each time."""

  directory: str
  criterion: str
  keep_latest: int
  keep_every: int  # 0 = none

  def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
    """Returns for each checkpoint, oldest first, whether it is among the newest, the best, or a multiple."""
    kept = self.kept([checkpoint.step for checkpoint in checkpoints])
    return [checkpoint.step in kept for checkpoint in checkpoints]

  def kept(self, steps: Sequence[int]) -> set[int]:
    """Returns which of some steps, in order, stay."""
    best = best_step(self.directory, steps, self.criterion)
    multiples = (step for step in steps if self.keep_every and step % self.keep_every == 0)
    return {*steps[-self.keep_latest :], *multiples, *(() if best is None else (best,))}


def write_metrics(directory: str, step: int, metrics: dict[str, float]) -> None:
  """Writes a validation's numbers into a finished checkpoint. Raises InputError where the disk refuses."""
  write_text(_path(directory, step), json.dumps(metrics))


def read_metrics(directory: str, step: int) -> dict[str, float] | None:
  """Returns the validation's numbers stored with a checkpoint; None without any. Raises ValueError if damaged."""
  try:
    found = from_json(read_bytes(_path(directory, step)))
  except (FileNotFoundError, NotADirectoryError):
    return None
  except OSError as error:
    raise ValueError(str(error)) from error
  if not isinstance(found, dict) or not all(isinstance(value, int | float) for value in found.values()):
    raise ValueError("these are no numbers by name")
  try:
    return {name: float(value) for name, value in found.items()}
  except OverflowError as error:
    raise ValueError("a number is too large") from error


def best_step(directory: str, steps: Sequence[int], criterion: str) -> int | None:
  """Returns the step whose number is smallest, the earlier of two; None where none has a finite one."""
  found = []
  for step in steps:
    with suppress(ValueError):
      value = (read_metrics(directory, step) or {}).get(criterion, math.nan)
      if math.isfinite(value):
        found.append((value, step))
  return min(found)[1] if found else None


def set_aside_broken(directory: str, steps: Sequence[int], say: Callable[[str], None]) -> None:
  """A damaged file of numbers costs a checkpoint its rank, not its life."""
  for step in steps:
    try:
      read_metrics(directory, step)
    except ValueError:
      aside = join(directory, f"{step}.metrics.corrupt")
      move_folder(parent_of(_path(directory, step)), aside)
      say(f"the metrics of checkpoint {step} are corrupt; moved them to {aside}")


def _path(directory: str, step: int) -> str:
  return join(directory, str(step), "metrics", "metrics")
