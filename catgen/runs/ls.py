"""The runs below a folder: how far each is, whether it is running, its last numbers, and how much room it takes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from catgen import orders
from catgen.evaluation import results
from catgen.interfaces import InputError
from catgen.paths import expanded, folders_with, is_folder, join, sizes_below
from catgen.reporting import terminal, writers
from catgen.runs import lock
from catgen.runs.record import read_record
from catgen.runs.schema import FILE_NAME
from catgen.training.checkpoint import checkpoint_steps
from catgen.training.ledger import goodput, last_of


class Listed(NamedTuple):
  """One run. What is unknown is None."""

  workdir: str
  family: str | None
  step: int  # of the newest checkpoint; 0 = there is none
  num_steps: int | None
  state: str  # "running", "finished", "stopped", "not saved yet", "exported", or why it cannot be read
  unit: str  # "bits per character"
  validation: float | None  # in that unit, the last one
  evaluation: str | None  # the last one
  origin: str | None  # of its first parameters
  size: int  # bytes
  goodput: float | None = None  # share of the run's seconds that trained it
  carried: bool = False  # the validation carries a memory through a stream


class Listing(NamedTuple):
  """The runs below a folder."""

  folder: str
  runs: tuple[Listed, ...]


def ls(*, folder: str = "runs") -> Listing:
  """Lists the runs below a folder; it reads only, also where they are running.

  Args:
    folder: where to look, at any depth.

  Raises:
    InputError: there is no such folder.
  """
  folder = expanded(folder)
  if not is_folder(folder):
    raise InputError(f"there is no folder {folder}; give --folder")
  return Listing(folder, tuple(map(_listed, folders_with(FILE_NAME, folder))))


def describe(listing: Listing) -> str:
  """Returns a table of the runs; bits are per position."""
  if not listing.runs:
    return f"there are no runs below {listing.folder}"
  header = ["run", "family", "step", "state", "validation", "last evaluation", "from", "trained", "MB"]
  return terminal.table(header, map(_row, listing.runs))


def _row(run: Listed) -> list[Any]:
  return [
    run.workdir,
    run.family or "?",
    f"{run.step:,} of {'?' if run.num_steps is None else f'{run.num_steps:,}'}",
    run.state,
    "" if run.validation is None else f"{run.validation:.4f} {run.unit}{', memory carried' * run.carried}",
    run.evaluation or "",
    run.origin or "",
    "" if run.goodput is None else f"{run.goodput:.0%} of the time",
    f"{run.size / 1e6:,.1f}",
  ]


def _listed(workdir: str) -> Listed:
  steps, size = checkpoint_steps(workdir), sum(sizes_below(workdir).values())
  step = steps[-1] if steps else 0
  owner = lock.owner_of(workdir)
  try:
    record = read_record(workdir)
  except InputError as error:
    return Listed(workdir, None, step, None, str(error), "", None, None, None, size)
  step = step if record.exported is None else record.exported.step
  last, lines = record.config["training"]["num_steps"], _lines(workdir)
  spent = last_of(lines)
  state = "finished" if step >= last else "stopped" if steps else "not saved yet"
  state = state if record.exported is None else "exported"
  return Listed(
    workdir,
    record.config["model"]["kind"],
    step,
    last,
    state if owner is None else f"running: {owner}",
    f"bits per {record.position}",
    _validation(lines),
    _evaluation(workdir),
    ", ".join(f"{each.how} {each.workdir}@{each.step}" for each in record.lineage[-1:]) or None,
    size,
    None if spent is None else goodput(spent),
    any("validation/carried" in line for line in lines),
  )


def _lines(workdir: str) -> list[dict[str, Any]]:
  try:
    return writers.read_metrics(join(workdir, writers.FILE_NAME), terminal.silent)
  except InputError:
    return []


def _validation(lines: Sequence[Mapping[str, Any]]) -> float | None:
  return next((line["validation/bits"] for line in reversed(lines) if line.get("validation/bits") is not None), None)


def _evaluation(workdir: str) -> str | None:
  try:
    records = results.read_results(workdir)
  except InputError as error:
    return str(error)
  if not records:
    return None
  record = records[-1]
  value = "not finite" if record["value"] is None else f"{record['value']:.4f} {record['unit']}"
  protocol = f", {record['protocol']}" if results.reads_before(record) and "protocol" in record else ""
  how = orders.named(orders.of_record(record)) or record["estimator"]
  return f"{value} ({how}, {record['split']}, step {record['step']}{protocol})"
