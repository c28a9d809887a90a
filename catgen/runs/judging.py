"""Samples of a run by several ways of drawing, one after the other, judged by counts of its training split."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from catgen.batches import batch_of
from catgen.data import get_split
from catgen.evaluation import judges, results
from catgen.evaluation.judges import Judge
from catgen.evaluation.samples import generate
from catgen.files import check_writable
from catgen.interfaces import Batch, InputError, SampleOptions
from catgen.keys import root_key
from catgen.paths import expanded, join
from catgen.reporting import charts, terminal
from catgen.reporting.progress import OpenProgress
from catgen.runs import kept
from catgen.runs.experiment import first_examples
from catgen.runs.kept import Measurement
from catgen.runs.load import Run
from catgen.runs.record import reached_positions
from catgen.training import distributed
from catgen.training.signals import catch_signals

HELD_OUT, TRAINING = "held-out data", "training data"
_ENDINGS = (".json", ".png")
_COLUMNS = {"cross_entropy": "bits under {counts}", "entropy": "entropy", "pairs": "pairs", "words": "known words"}
NOTE = (
  "entropy: of one {position}; pairs: Jensen-Shannon divergence of neighboring pairs from training, bits; no number of"
  " these is a likelihood of the model: good samples stand where held-out data stand, in all columns"
)


class Judging(NamedTuple):
  """How samples are drawn, and what judges them."""

  run: Run
  judge: Judge
  num_samples: int
  batch_size: int
  seed: int
  given: Int[np.ndarray, "*samples attributes"] | None = None


def judging_of(
  run: Run,
  num_samples: int,
  batch_size: int,
  seed: int,
  given: Int[np.ndarray, "*samples attributes"] | None = None,
) -> Judging:
  """Returns how samples of a run are drawn and judged; all ways share the seed.

  Raises:
    InputError: such examples cannot be judged by counts.
  """
  if run.media.judge is None:
    raise InputError(f"{run.media.name} of shape {run.record.event.shape} cannot be judged by counts")
  judge = run.media.judge(get_split(run.source(), "train"))
  return Judging(run, judge, num_samples, batch_size, seed, given)


def of_data(how: Judging, split: str) -> list[dict[str, Any]]:
  """Returns the rows of as many held-out and training examples, the zero points of all others."""
  parts = ((HELD_OUT, split), (TRAINING, "train"))
  source = how.run.source()
  return [
    {
      "name": name,
      "calls": None,
      **judged(how, first_examples(source, part, how.num_samples), consecutive=get_split(source, part).consecutive),
    }
    for name, part in parts
  ]


def drawn(how: Judging, options: SampleOptions) -> Batch:
  """Returns samples; where no record of the data reaches a position, it does not count."""
  run = how.run
  found = generate(
    run.model,
    run.params,
    run.state,
    num_samples=how.num_samples,
    batch_size=how.batch_size,
    key=root_key(how.seed),
    given=how.given,
    options=options,
    spread=run.spread,
  )
  return batch_of(np.asarray(found.x), np.asarray(found.valid) & reached_positions(run.record))


def judged(how: Judging, examples: Batch, *, consecutive: bool = False) -> dict[str, Any]:
  """Returns what the judge says of examples, as it stands in a JSON file; consecutive: see `judges.judged`."""
  found = judges.judged(how.judge, examples, consecutive=consecutive)
  row = {
    "cross_entropy": found.cross_entropy.value,
    "cross_entropy_error": found.cross_entropy.error,
    "entropy": found.entropy,
    "pairs": found.pairs,
    "num_examples": len(examples.x),
  }
  if found.words is not None:
    row |= {"words": found.words.value, "words_error": found.words.error}
  return results.without_nan(row)


def columns_of(rows: Sequence[Mapping[str, Any]], counts: str) -> dict[str, str]:
  """Returns which columns of a judge the rows have, and their titles in a table."""
  return {name: title.format(counts=counts) for name, title in _COLUMNS.items() if any(name in row for row in rows)}


def cell(row: Mapping[str, Any], name: str) -> str:
  """Returns a number of a row with its standard error, where it has one."""
  value, error = row.get(name), row.get(f"{name}_error")
  if value is None:
    return ""
  if name == "calls":
    return f"{value:.1f}".removesuffix(".0")
  return f"{value:.4f}" if error is None else terminal.plus_minus(value, error)


def output_of(run: Run, output: str | None, name: str) -> tuple[str, str]:
  """Returns the paths of the JSON file and of the picture; by default in the work directory.

  Raises:
    InputError: they cannot be written.
  """
  base = join(run.workdir, name) if output is None else expanded(output)
  path, picture = (f"{base}{ending}" for ending in _ENDINGS)
  distributed.first_does(lambda: check_writable(path))
  return path, picture


class Done(NamedTuple):
  """How a command has measured its rows."""

  exit_code: int  # 128 + the number of the signal that ended it before all were measured, else 0
  num_kept: int  # rows that the file had already


def one_by_one(
  run: Run,
  rows: list[dict[str, Any]],
  measurements: Sequence[Measurement],
  path: str,
  progress: OpenProgress,
  *,
  unit: str,
  title: str,
) -> Done:
  """Adds a row for each measurement, and writes all rows after each; rows that the file has already are taken from it.

  A signal to stop (Ctrl-C, SIGTERM) ends it after the one in hand.
  """
  of_data, made = list(rows), kept.rows_in(path, measurements)
  left = [number for number, row in enumerate(made) if row is None]
  num_kept = len(made) - len(left)

  def write() -> None:
    rows[:] = [*of_data, *(row for row in made if row is not None)]
    distributed.first_does(lambda: results.write_rows(rows, path))

  if not left:
    write()
    return Done(0, num_kept)
  with catch_signals() as request, closing(progress(len(left), unit=unit, title=title)) as bar:
    stop = distributed.Stop(run.spread.mesh, lambda: request.signal or 0)
    for number in left:
      made[number] = measurements[number].row()
      write()
      bar.update(1)
      if number != left[-1] and stop():
        return Done(stop.exit_code, num_kept)
  return Done(0, num_kept)


def draw(rows: Sequence[Mapping[str, Any]], path: str, *, position: str, counts: str) -> None:
  """Draws each column of the judge against calls, a line for each `way` of drawing, held-out data as a level."""
  titles = {
    "cross_entropy": f"bits per {position} under {counts}",
    "entropy": f"entropy of one {position}, bits",
    "pairs": "pairs: divergence from training, bits",
    "words": "words that training has",
  }
  level = next(row for row in rows if row.get("name") == HELD_OUT)
  ways = dict.fromkeys(row["way"] for row in rows if row["calls"] is not None and "cross_entropy" in row)
  panels = {
    titles[column]: {
      way: [
        (row["calls"], row[column], row.get(f"{column}_error") or 0.0)
        for row in rows
        if row["calls"] is not None and row["way"] == way and row.get(column) is not None
      ]
      for way in ways
    }
    for column in columns_of(rows, counts)
  }
  levels = {titles[column]: level[column] for column in columns_of(rows, counts) if level[column] is not None}
  charts.against_calls(panels, levels, path, level=HELD_OUT)
