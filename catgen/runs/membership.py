"""Whether a model's own scores tell the rows that it was trained on from others: what it knows of single rows."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from catgen.batches import take
from catgen.evaluation import outliers
from catgen.evaluation.outliers import Separation
from catgen.evaluation.table_trees import halves
from catgen.interfaces import Batch, InputError
from catgen.media.medium import evenly
from catgen.reporting.progress import OpenProgress
from catgen.runs.load import Run, load
from catgen.runs.record import with_labels
from catgen.runs.score import measured, spread_examples

_NEVER = "its scores say nothing of a table; leave --workdir out"


class Membership(NamedTuple):
  """How far scores of rows that were trained on and of others are apart."""

  found: Separation  # the probability that one that was not trained on is less likely than one that was
  by_chance: Separation  # the same of the others alone, one half and the other
  bits: Mapping[str, Float[np.ndarray, "rows"]]  # per row, of training rows, of others, of synthetic ones
  num_members: int
  num_others: int
  estimator: str
  note: str | None  # why no synthetic rows were scored


def membership(
  workdir: str,
  files: Mapping[str, str | None],
  *,
  step: str,
  num_draws: int,
  most: int,
  seed: int,
  say: Callable[[str], None],
  progress: OpenProgress,
) -> Membership:
  """Returns how well the scores of a run tell its training rows from others.

  Args:
    workdir: of the run.
    files: "real": rows that it was not trained on; "synthetic"; "train": those that it was, or None for its data.
    step: the checkpoint.
    num_draws: of a bound, per row, in each of 4 replicates; all rows share them.
    most: rows of each set, evenly spread over it.
    seed: of the draws.
    say, progress: of the terminal.

  Raises:
    InputError: the run is no model of tables, or has not some value of a row.
  """
  run = load(workdir, step=step, say=say)
  if run.media.filled is None:
    raise InputError(f"{workdir} is a model of {run.media.name}; {_NEVER}")
  members = spread_examples(run, "train", most) if files["train"] is None else _read(run, files["train"], most)
  sets = {"training rows": members, "held-out rows": _read(run, files["real"], most)}
  note = None
  try:
    sets["synthetic rows"] = _read(run, files["synthetic"], most)
  except InputError as error:  # of another model, it may have values that this one does not know
    note = f"the synthetic rows have no scores: {error}"
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
    bits[name] = outliers.example_bits(found.nats, found.positions, exact=estimator == "exact").bits * found.positions
  known, others = bits["training rows"], bits["held-out rows"]
  first, second = halves(len(others), seed)
  return Membership(
    found=outliers.separation(others, known),
    by_chance=outliers.separation(others[first], others[second]),
    bits=bits,
    num_members=len(known),
    num_others=len(others),
    estimator=estimator,
    note=note,
  )


def _read(run: Run, path: str | None, most: int) -> Batch:
  assert path is not None
  batch = run.media.read(path)
  return take(batch, evenly(len(batch.x), min(most, len(batch.x))))
