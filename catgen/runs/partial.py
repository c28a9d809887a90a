"""The batches that an evaluation has scored so far, kept so that one that was stopped goes on where it was."""

import contextlib
import hashlib
import io
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from catgen.evaluation.estimators import LossSums
from catgen.evaluation.likelihood import Part
from catgen.evaluation.results import SCORES_FOLDER, read_kept
from catgen.files import read_bytes, remove, replacing
from catgen.interfaces import InputError
from catgen.paths import join
from catgen.runs.load import Run
from catgen.runs.record import definition
from catgen.training import distributed
from catgen.training.integrity import fingerprint

EVERY_SECONDS = 60.0
_PLAIN = ("numbers", "positions", "nats", "sample_sizes", "position_counts", "class_counts")


class Partial:
  """The file of one evaluation in scores/, written now and then, and removed when the whole is there.

  Of several processes the first reads and writes it, and tells the others what has been scored.
  """

  def __init__(self, folder: str | os.PathLike[str], identity: Mapping[str, Any]):
    """Names the file by all that decides what is scored and how: nothing else may be gone on with."""
    self.request = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:16]
    self.path = join(folder, SCORES_FOLDER, f"unfinished_{self.request}.npz")
    self.parts: Sequence[Part] = ()
    self._written, self._at = 0, time.monotonic()

  def load(self) -> list[Part]:
    """Returns the scored batches, none where there are none or the file is damaged; all processes must call it."""
    try:
      stored = _unpacked(distributed.first_tells(self._content)) if jax.process_count() > 1 else read_kept(self.path)
      parts = [_part(stored, number) for number in range(min(int(stored["count"]), len(stored)))]
    except (InputError, ValueError, KeyError, TypeError):
      return []
    self.parts, self._written = parts, len(parts)
    return parts

  def keep(self, parts: Sequence[Part]) -> None:
    """Takes note of the batches so far, and writes them where that is due."""
    self.parts = parts
    if time.monotonic() - self._at >= EVERY_SECONDS:
      self.write()

  def write(self) -> bool:
    """Writes the batches so far, on the first process; returns whether they are on the disk."""
    self._at = time.monotonic()
    if jax.process_index() > 0:
      return True
    if self._written == len(self.parts):
      return self._written > 0
    arrays: dict[str, Any] = {
      f"{i}.{name}": array for i, part in enumerate(self.parts) for name, array in _arrays(part).items()
    }
    try:
      with replacing(self.path) as file:
        np.savez(file, count=len(self.parts), **arrays)
    except InputError:
      return False
    self._written = len(self.parts)
    return True

  def _content(self) -> bytes:
    """Returns the file, if it can be read."""
    read_kept(self.path)
    return read_bytes(self.path)

  def remove(self) -> None:
    """Removes the file, if there is one."""
    with contextlib.suppress(OSError):
      remove(self.path)


def unfinished(run: Run, how: Mapping[str, Any], folder: str) -> Partial:
  """Returns what keeps the batches that an evaluation has scored, which another one of the same numbers goes on with.

  Args:
    run: what is evaluated, known by the bits of its parameters: in `folder` other runs may be evaluated too.
    how: all else that decides the numbers.
    folder: of results.json and scores/.
  """
  trees = {"ema" if run.uses_ema else "params": run.params, "model_state": run.state}  # by their names in a checkpoint
  bits = [int(fingerprint({name: tree})) for name, tree in trees.items()]
  what = {"definition": definition(run.record), "data": run.record.fingerprint, "step": run.step, "ema": run.uses_ema}
  return Partial(folder, {**how, **what, "bits": bits})


def _unpacked(content: bytes) -> dict[str, np.ndarray]:
  with np.load(io.BytesIO(content), allow_pickle=False) as file:
    return {name: file[name] for name in file.files}


def _arrays(part: Part) -> dict[str, np.ndarray]:
  found = {name: getattr(part, name) for name in _PLAIN}
  found |= {f"terms.{name}": array for name, array in part.terms.items()}
  if part.losses is not None:
    found |= {f"losses.{name}": np.asarray(array) for name, array in part.losses._asdict().items()}
  return {name: array for name, array in found.items() if array is not None}


def _part(stored: Mapping[str, Any], number: int) -> Part:
  own = {name.partition(".")[2]: name for name in stored if name.startswith(f"{number}.")}
  found = {inside: stored[name] for inside, name in own.items()}
  terms, losses = (
    {name.removeprefix(prefix): array for name, array in found.items() if name.startswith(prefix)}
    for prefix in ("terms.", "losses.")
  )
  plain: dict[str, Any] = {name: found.get(name) for name in _PLAIN}
  return Part(**plain, terms=terms, losses=LossSums(**losses) if losses else None)
