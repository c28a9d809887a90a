"""Evidence of steps whose loss or gradient was not finite: `nonfinite/STEP` of a work directory."""

import json
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from catgen.files import from_json, read_bytes, replacing, write_text
from catgen.interfaces import Batch
from catgen.paths import join, names_in
from catgen.training.checkpoint import Checkpointer
from catgen.training.state import TrainState

FOLDER = "nonfinite"
_NUMBERS = "metrics.json"


def folder_of(workdir: str, step: int) -> str:
  """Returns where the evidence of a step belongs."""
  return join(workdir, FOLDER, str(step))


def described(metrics: dict[str, Any]) -> str:
  """Returns the nats and the norm of the gradient in words."""
  return f"nats {metrics['nats']:g}, gradient norm {metrics['grad_norm']:g}"


def keep(
  folder: str,
  step: int,
  batch: Batch,
  key: Array,
  metrics: dict[str, Any],
  state: TrainState | None = None,
  *,
  skipped: bool = False,
) -> None:
  """Writes this process's batch, the run's key, the numbers, and the state before the step where it is given.

  Raises:
    InputError: the disk refuses.
  """
  process = jax.process_index()
  arrays = {name: array for name, array in batch._asdict().items() if array is not None}
  with replacing(join(folder, f"batch-{process}.npz")) as file:
    np.savez(file, **arrays, key=jax.random.key_data(key))
  if process == 0:
    numbers = {"step": step, "skipped": skipped, **jax.tree.map(float, metrics)}
    write_text(join(folder, _NUMBERS), json.dumps(numbers, indent=2))
  if state is not None:
    with Checkpointer(join(folder, "state")) as evidence:
      evidence.save(step, state)


def skipped_steps(workdir: str, *, before: int) -> set[int]:
  """Returns the steps before a given one that a run has skipped, by the evidence that it has left."""
  found: set[int] = set()
  try:
    names = names_in(join(workdir, FOLDER))
  except OSError:
    return found
  for name in names:
    try:
      numbers = from_json(read_bytes(join(workdir, FOLDER, name, _NUMBERS)))
      if numbers["skipped"] and numbers["step"] < before:
        found.add(int(numbers["step"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
      continue  # left by an earlier version, or by hand
  return found
