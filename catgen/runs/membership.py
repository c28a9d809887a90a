"""Whether a model's own scores tell the rows that it was trained on from others: what it knows of single rows."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from catgen.batches import take
from catgen.data import get_split
from catgen.evaluation import outliers
from catgen.evaluation.outliers import Separation
from catgen.evaluation.shared_rows import Shared, shared
from catgen.evaluation.table_trees import halves
from catgen.interfaces import Batch, InputError
from catgen.media.medium import evenly
from catgen.reporting.progress import OpenProgress
from catgen.runs.load import Run, load
from catgen.runs.own_encoding import encoding_of_data, unless_utf8
from catgen.runs.record import with_labels
from catgen.runs.score import measured

_NEVER = "its scores say nothing of a table; leave --workdir out"


class Membership(NamedTuple):
  """How far scores of rows that were trained on and of others are apart."""

  found: Separation  # the probability that one that was not trained on is less likely than one that was
  by_chance: Separation  # the same of the others alone, one half and the other
  bits: Mapping[str, Float[np.ndarray, "rows"]]  # per row, of training rows, of others, of synthetic ones
  num_members: int
  num_others: int
  estimator: str
  notes: tuple[str, ...]  # what is to be known of the rows


def membership(
  workdir: str,
  files: Mapping[str, str | None],
  *,
  step: str,
  num_draws: int,
  most: int,
  seed: int,
  encoding: str | None = None,
  say: Callable[[str], None],
  progress: OpenProgress,
) -> Membership:
  """Returns how well the scores of a run tell its training rows from others.

  Args:
    workdir: of the run.
    files: "real": rows that it was not trained on; "synthetic"; "train": a table with those that it was, which is
      taken where the training split of its data cannot be read.
    step: the checkpoint.
    num_draws: of a bound, per row, in each of 4 replicates; all rows share them.
    most: rows of each set, evenly spread over it.
    seed: of the draws.
    encoding: of files that are no UTF-8; None: that of the run's data.
    say, progress: of the terminal.

  Raises:
    InputError: the run is no model of tables, has not some value of a row, or was trained on rows of "real".
  """
  run = load(workdir, step=step, say=say)
  if run.media.filled is None:
    raise InputError(f"{workdir} is a model of {run.media.name}; {_NEVER}")
  trained, own, notes = _trained(run, files["train"], encoding)
  held_out = _read(run, files["real"], encoding)
  notes += _told(shared(np.asarray(held_out.x), np.asarray(trained.x)), own, files)
  sets = {"training rows": _some(trained, most), "held-out rows": _some(held_out, most)}
  try:
    sets["synthetic rows"] = _some(_read(run, files["synthetic"], encoding), most)
  except InputError as error:  # of another model, it may have values that this one does not know
    notes.append(f"the synthetic rows have no scores: {error}")
  bits: dict[str, np.ndarray] = {}
  estimator = ""
  for name, batch in sets.items():
    plain = with_labels(batch._replace(given=None), run.record, ())
    found = measured(
      run,
      plain,
      title=f"score {name}",
      estimator=None,
      num_draws=num_draws,
      seed=seed,
      same_draws=True,
      progress=progress,
    )
    estimator = found.estimator
    bits[name] = outliers.example_bits(found.nats, found.positions).bits * found.positions
  known, others = bits["training rows"], bits["held-out rows"]
  first, second = halves(len(others), seed)
  return Membership(
    found=outliers.separation(others, known),
    by_chance=outliers.separation(others[first], others[second]),
    bits=bits,
    num_members=len(known),
    num_others=len(others),
    estimator=estimator,
    notes=tuple(notes),
  )


def _trained(run: Run, train: str | None, encoding: str | None) -> tuple[Batch, str, list[str]]:
  """Returns all rows that a run was trained on, what they are called, and why they are those of a file where they are.

  A file may have rows of validation and test too, which the model has never seen; so the run's own data come first.
  """
  try:
    split = get_split(run.source(), "train")
    return split.examples(np.arange(split.num_examples)), "the training split", []
  except InputError as error:
    if train is None:
      raise
    note = f"the run's own data cannot be read ({error}): all rows of --train stand for what it was trained on"
    return _read(run, train, encoding), "--train", [note]


def _told(found: Shared, own: str, files: Mapping[str, str | None]) -> list[str]:
  """Returns what is said of rows of --real that were trained on. Raises InputError where chance does not explain it."""
  if not found.number:
    return []
  said = (
    f"{found.number:,} of {found.rows:,} rows of {files['real']} are rows of {own}, category by category, where about"
    f" {found.by_chance:,.0f} would be by chance"
  )
  if found.taken:
    raise InputError(
      f"{said}: the model was trained on them, so that its scores would tell nothing apart, whatever it knows of single"
      f" rows; give a --real that nothing was trained on, or leave --workdir out"
    )
  return [said]


def _some(batch: Batch, most: int) -> Batch:
  return take(batch, evenly(len(batch.x), min(most, len(batch.x))))


def _read(run: Run, path: str | None, encoding: str | None) -> Batch:
  assert path is not None
  return run.media.read(path, unless_utf8(path, encoding or encoding_of_data(run.record)))
