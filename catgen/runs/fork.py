"""A new work directory from a checkpoint of another: a run that goes on in two ways."""

import json
from typing import NamedTuple

from catgen import remote
from catgen.files import write_error, write_text
from catgen.interfaces import InputError
from catgen.paths import absolute, exists, join
from catgen.reporting import writers
from catgen.runs import lock
from catgen.runs.initial import split_step
from catgen.runs.record import Ancestor, check_definition, has_record, read_record, write_record
from catgen.training.checkpoint import FOLDER, checkpoint_steps, copy_checkpoint
from catgen.training.restoring import restore_params


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
  if record.exported is not None:
    raise InputError(
      f"{other} holds an exported model, without its optimizer; begin from its parameters by launch.train "
      f"--init_from={origin}"
    )
  restored = restore_params(other, "latest" if asked == "best" else asked)
  check_definition(record, restored.identity, restored.step, other)
  step, ancestor = restored.step, Ancestor("fork", absolute(other), restored.step)
  lines = _metrics(other, step)
  with lock.held(workdir):
    _copy(other, workdir, step)
    if lines is not None:
      write_text(join(workdir, writers.FILE_NAME), lines)
    changes = tuple(change for change in record.changes if change.step <= step)
    write_record(workdir, record._replace(lineage=(*record.lineage, ancestor), changes=changes))
  return Forked(workdir, other, step)


def describe(forked: Forked) -> str:
  """Returns what was made, and how to go on."""
  return (
    f"{forked.workdir} begins at step {forked.step} of {forked.origin}; python -m launch.train "
    f"--workdir={forked.workdir} goes on, with --config.key=value for what is to differ"
  )


def _copy(other: str, workdir: str, step: int) -> None:
  """Copies a checkpoint, whole or not at all."""
  try:
    copy_checkpoint(other, workdir, step)
  except OSError as error:
    if step not in checkpoint_steps(other):
      raise InputError(f"checkpoint {step} of {other} has been replaced meanwhile; try again") from error
    found = error if error.errno or remote.is_remote(workdir) else OSError(0, "not everything could be copied")
    raise write_error(join(workdir, FOLDER, str(step)), found) from error


def _metrics(other: str, step: int) -> str | None:
  """Returns the lines of metrics.jsonl up to a step; None where there is no such file."""
  path = join(other, writers.FILE_NAME)
  if not exists(path):
    return None
  return "".join(f"{json.dumps(line)}\n" for line in writers.read_metrics(path) if line["step"] <= step)
