"""A new work directory from a checkpoint of another: a run that goes on in two ways."""

import json
import os
import pathlib
import shutil
from typing import NamedTuple

from catgen.files import write_error, write_text
from catgen.interfaces import InputError
from catgen.reporting import writers
from catgen.runs import lock
from catgen.runs.initial import split_step
from catgen.runs.record import Ancestor, check_definition, has_record, read_record, write_record
from catgen.training.checkpoint import FOLDER, checkpoint_steps, restore_params


class Forked(NamedTuple):
  """A work directory that was made from another."""

  workdir: str
  origin: str
  step: int


def fork(workdir: str, *, origin: str) -> Forked:
  """Makes a work directory whose run begins at a checkpoint of another one, with all of its state.

  Train it on by launch.train with the same configuration, or one that differs as a run may; config.json and every
  evaluation name where it came from. The other work directory is only read, and may be in use.

  Args:
    workdir: of the new run; it must not hold one.
    origin: work directory of the other run, for its newest checkpoint, or that of a step, runs/other@3000.

  Raises:
    InputError: there is no such checkpoint, it cannot be read or copied, or the new work directory holds a run.
  """
  other, asked = split_step(origin)
  if has_record(workdir) or checkpoint_steps(workdir):
    raise InputError(f"{workdir} holds a run already; give a new --workdir")
  record = read_record(other)
  restored = restore_params(other, "latest" if asked == "best" else asked)
  check_definition(record, restored.identity, restored.step, other)
  step, ancestor = restored.step, Ancestor("fork", os.path.abspath(other), restored.step)
  lines = _metrics(pathlib.Path(other), step)
  with lock.held(workdir):
    _copy(pathlib.Path(other), pathlib.Path(workdir), step)
    if lines is not None:
      write_text(pathlib.Path(workdir) / writers.FILE_NAME, lines)
    changes = tuple(change for change in record.changes if change.step <= step)
    write_record(workdir, record._replace(lineage=(*record.lineage, ancestor), changes=changes))
  return Forked(workdir, other, step)


def describe(forked: Forked) -> str:
  """Returns what was made, and how to go on."""
  return (
    f"{forked.workdir} begins at step {forked.step} of {forked.origin}; python -m launch.train "
    f"--workdir={forked.workdir} goes on, with --config.key=value for what is to differ"
  )


def _copy(other: pathlib.Path, workdir: pathlib.Path, step: int) -> None:
  """Copies a checkpoint, whole or not at all."""
  source, target = other / FOLDER / str(step), workdir / FOLDER / str(step)
  begun = target.with_name(f"{step}.orbax-checkpoint-tmp")  # what training clears, should this end here
  try:
    shutil.rmtree(begun, ignore_errors=True)
    shutil.copytree(source, begun)
    begun.rename(target)
  except (OSError, shutil.Error) as error:
    shutil.rmtree(begun, ignore_errors=True)
    if not source.exists():
      raise InputError(f"checkpoint {step} of {other} has been replaced meanwhile; try again") from error
    found = error if isinstance(error, OSError) and error.errno else OSError(0, "not everything could be copied")
    raise write_error(target, found) from error


def _metrics(other: pathlib.Path, step: int) -> str | None:
  """Returns the lines of metrics.jsonl up to a step; None where there is no such file."""
  path = other / writers.FILE_NAME
  if not path.exists():
    return None
  return "".join(f"{json.dumps(line)}\n" for line in writers.read_metrics(path) if line["step"] <= step)
