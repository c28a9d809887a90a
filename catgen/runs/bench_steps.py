"""What samples of a diffusion model are worth by the number of its steps, with and without self-correction."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from catgen.batches import batch_of
from catgen.data import get_split
from catgen.evaluation import judges, results
from catgen.evaluation.judges import Judge, Judgement
from catgen.evaluation.samples import generate
from catgen.files import check_writable
from catgen.interfaces import Batch, InputError, SampleOptions
from catgen.keys import root_key
from catgen.paths import expanded, join
from catgen.reporting import charts, terminal
from catgen.reporting.progress import OpenProgress, no_progress
from catgen.runs.experiment import first_examples
from catgen.runs.load import Run
from catgen.runs.record import numbers_of, reached_positions
from catgen.runs.sample import explained_guidance, sample_options
from catgen.training import distributed
from catgen.training.signals import catch_signals

_HELD_OUT, _TRAINING = "held-out data", "training data"


class Benched(NamedTuple):
  """What samples of each kind are worth, as it stands in the JSON file: first those of the data."""

  rows: list[dict[str, Any]]
  position: str
  counts: str  # what cross-entropies are of
  guidance: str | None  # what guided samples follow
  path: str
  picture: str
  exit_code: int = 0  # 128 + the number of the signal that ended it before all were measured


def bench_steps(
  run: Run,
  *,
  num_steps: tuple[int, ...] = (8, 16, 32, 64, 128),
  corrections: tuple[float, ...] = (0.0, 0.1),
  num_samples: int = 256,
  temperature: float = 1.0,
  given: Sequence[str] = (),
  guidance: float = 1.0,
  split: str | None = None,
  batch_size: int | None = None,
  seed: int = 0,
  output: str | None = None,
  progress: OpenProgress = no_progress,
) -> Benched:
  """Judges samples of each number of steps and each correction by counts of the training split, beside held-out data.

  A signal to stop (Ctrl-C, SIGTERM) ends it after the samples in hand; what is measured is written after each.

  Args:
    run: the model, one that draws in steps.
    num_steps: calls of the network that a sample takes, each number in turn.
    corrections: share of the positions that are drawn anew at every step, in [0, 1], each in turn; 0: none.
    num_samples: drawn of each kind, and so many held-out and training examples.
    temperature: of each draw.
    given: a label that all samples have, name=value; may be repeated. The data stay as they are.
    guidance: how strongly labels act, at two calls a step where it is not 1.
    split: of the held-out examples; default: the run's evaluation.split.
    batch_size: samples at a time; default: the run's sampling.batch_size.
    seed: of the draws, which all kinds share.
    output: what is written: this with .json and .png; default: bench_steps in the work directory.
    progress: opens the bar.

  Raises:
    InputError: the model draws in no steps, a number is out of range, or a file cannot be written.
  """
  if num_samples < 1:
    raise InputError(f"num_samples is {num_samples}; it must be at least 1")
  kinds = _kinds(run, num_steps, corrections, temperature, guidance)
  output = join(run.workdir, "bench_steps") if output is None else expanded(output)
  path, picture = f"{output}.json", f"{output}.png"
  distributed.first_does(lambda: check_writable(path))
  source = run.source()
  judge, reached = (
    judges.judge_of(get_split(source, "train"), source.event, source.codec),
    reached_positions(run.record),
  )
  split = split or run.record.config["evaluation"]["split"]
  rows = [
    _row(name, judge, first_examples(source, part, num_samples))
    for name, part in ((_HELD_OUT, split), (_TRAINING, "train"))
  ]
  with catch_signals() as request, closing(progress(len(kinds), unit="kind", title="bench the steps")) as bar:
    stop = distributed.Stop(run.spread.mesh, lambda: request.signal or 0)
    for done, options in enumerate(kinds, start=1):
      drawn = generate(
        run.model,
        run.params,
        run.state,
        num_samples=num_samples,
        batch_size=batch_size or run.record.config["sampling"]["batch_size"],
        key=root_key(seed),
        given=numbers_of(run.record, given),
        options=options,
        spread=run.spread,
      )
      samples = batch_of(np.asarray(drawn.x), np.asarray(drawn.valid) & reached)
      rows.append(_row(_named(options), judge, samples, calls=_calls(options), correction=options.correction))
      distributed.first_does(lambda: results.write_rows(rows, path))
      bar.update(1)
      if done < len(kinds) and stop():
        break
  distributed.first_does(lambda: _draw(rows, picture, run.record.position, judge.counts))
  code = stop.exit_code if len(rows) < 2 + len(kinds) else 0
  return Benched(rows, run.record.position, judge.counts, explained_guidance(kinds[0]), path, picture, code)


def describe(benched: Benched) -> str:
  """Returns a table of the kinds of samples, with standard errors over examples, and where it is written."""
  has_words = any("words" in row for row in benched.rows)
  header = ["examples", "calls", f"bits under {benched.counts}", "entropy", "pairs", *["known words"][: int(has_words)]]
  table = []
  for row in benched.rows:
    cells = [row["name"], "" if row["calls"] is None else str(row["calls"])]
    cells += [terminal.plus_minus(row["cross_entropy"], row["cross_entropy_error"]), f"{row['entropy']:.4f}"]
    cells += [f"{row['pairs']:.4f}"]
    table.append(cells + ([terminal.plus_minus(row["words"], row["words_error"])] if has_words else []))
  number = benched.rows[0]["num_examples"]
  notes = [
    f"bits per {benched.position}; entropy: of one {benched.position}; pairs: Jensen-Shannon divergence of neighboring"
    f" pairs from training, bits; {number:,} examples each, ± standard errors",
    "no number here is a likelihood of the model; good samples stand where held-out data stand, in all columns",
    *([benched.guidance] if benched.guidance else []),
    f"written to {benched.path}; picture: {benched.picture}",
  ]
  return "\n".join([terminal.table(header, table), *notes])


def _kinds(
  run: Run, num_steps: Sequence[int], corrections: Sequence[float], temperature: float, guidance: float
) -> list[SampleOptions]:
  for name, values in (("num_steps", num_steps), ("corrections", corrections)):
    if not values:
      raise InputError(f"nothing to measure: give --{name}, some numbers with commas between them")
  own = {"sampling": {}, "training": run.record.config["training"]}
  kinds = [
    sample_options(own, run.media, num_steps=steps, correction=correction, temperature=temperature, guidance=guidance)
    for correction in corrections
    for steps in num_steps
  ]
  if run.model.chain is not None:  # refuses what it cannot take, before anything is counted or drawn
    for options in kinds:
      run.model.chain.num_moves(options)
  return kinds


def _calls(options: SampleOptions) -> int:
  """Returns how often the network is called for a sample: with guidance also without the labels."""
  assert options.num_steps is not None
  return options.num_steps * (1 if options.guidance == 1 else 2)


def _named(options: SampleOptions) -> str:
  correction = f", correction {options.correction:g}" if options.correction else ""
  return f"{options.num_steps} steps{correction}"


def _row(
  name: str, judge: Judge, examples: Batch, calls: int | None = None, correction: float | None = None
) -> dict[str, Any]:
  found: Judgement = judges.judged(judge, examples)
  row = {
    "name": name,
    "calls": calls,
    "correction": correction,
    "cross_entropy": found.cross_entropy.value,
    "cross_entropy_error": found.cross_entropy.error,
    "entropy": found.entropy,
    "pairs": found.pairs,
    "num_examples": len(examples.x),
  }
  if found.words is not None:
    row |= {"words": found.words.value, "words_error": found.words.error}
  return results.without_nan(row)


def _draw(rows: Sequence[Mapping[str, Any]], path: str, position: str, counts: str) -> None:
  """Draws each column against calls, a line for each correction, held-out data as a level."""
  columns = {"cross_entropy": f"bits per {position} under {counts}", "entropy": f"entropy of one {position}, bits"}
  columns["pairs"] = "pairs: divergence from training, bits"
  if "words" in rows[0]:
    columns["words"] = "words that training has"
  corrections = dict.fromkeys(row["correction"] for row in rows if row["calls"] is not None)
  names = {each: f"correction {each:g}" if each else "no correction" for each in corrections}
  panels = {
    title: {
      names[each]: [
        (row["calls"], row[column], row.get(f"{column}_error") or 0.0)
        for row in rows
        if row["calls"] is not None and row["correction"] == each and row[column] is not None
      ]
      for each in corrections
    }
    for column, title in columns.items()
  }
  levels = {title: rows[0][column] for column, title in columns.items() if rows[0][column] is not None}
  charts.against_calls(panels, levels, path, level=_HELD_OUT)
