"""A run in a line."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Int

from catgen import orders, remote
from catgen.interfaces import HostOrDevice, InputError
from catgen.paths import name_of
from catgen.runs import exported
from catgen.trees import num_elements

if TYPE_CHECKING:
  from catgen.runs.load import Run


def described(run: "Run") -> str:
  """Returns a run's name, family, size, step, and bits per position where it was evaluated.

  `Run('text-autoregressive', autoregressive, 3.6M parameters, step 1,221, 1.785 bits/character)`
  """
  size, kind = num_elements(run.params), run.record.config["model"]["kind"]
  number = f"{size / 1e6:.1f}M" if size >= 1e6 else f"{size:,}"
  parts = [repr(name_of(run.folder or run.workdir)), kind, f"{number} parameters", f"step {run.step:,}"]
  return f"Run({', '.join([*parts, *_bits(run)])})"


def _bits(run: "Run") -> list[str]:
  """Returns the last evaluation of the parameters by the model's own p(x), on the test split where it was made."""
  if not run.folder or remote.is_remote(run.folder):  # to show a run asks no store
    return []
  try:
    records = exported.evaluations(run.folder)
  except InputError:
    return []
  own = (run.step, run.uses_ema)
  found = [each for each in records if (each.get("step"), each.get("ema")) == own and not orders.of_record(each)]
  found = [each for each in found if each.get("value") is not None and "unit" in each]
  found.sort(key=lambda each: each.get("split") == "test")
  return [f"{each['value']:.3f} {each['unit'].replace('bits per ', 'bits/')}" for each in found[-1:]]


def checked_example(
  run: "Run", x: Int[HostOrDevice, "*event"], shown: Bool[HostOrDevice, "*event"] | None
) -> Int[np.ndarray, "*event"]:
  """Returns the integers of one example, of text or another sequence also fewer than all. Raises InputError."""
  event = run.record.event
  try:
    found = np.asarray(x)
  except (TypeError, ValueError):  # no array at all, as what `sample` returns, or lists of different lengths
    found = np.asarray(None)
  shape = "[" + ", ".join(map(str, event.shape)) + "]"
  if found.dtype.kind not in "iu":
    raise InputError(
      f"decode takes the integers of one example, {shape}, not {x!r:.60}; encode makes them of an example"
    )
  if found.shape != event.shape and not (found.ndim == len(event.shape) == 1 and found.size < event.shape[0]):
    given = "[" + ", ".join(map(str, found.shape)) + "]"
    raise InputError(f"decode takes one example, {shape}, and this has the shape {given}; of several give one, x[0]")
  if found.size and not (found.min() >= 0 and found.max() < event.num_classes):
    raise InputError(
      f"decode takes integers from 0 to {event.num_classes - 1}; these go from {found.min()} to {found.max()}"
    )
  return found
