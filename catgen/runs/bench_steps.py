"""What samples of a diffusion model are worth by the number of its steps, with and without self-correction."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from catgen.interfaces import InputError, SampleOptions
from catgen.reporting import terminal
from catgen.reporting.progress import OpenProgress, no_progress
from catgen.runs import judging, kept
from catgen.runs.judging import Judging
from catgen.runs.load import Run
from catgen.runs.record import numbers_of
from catgen.runs.sample import explained_guidance, sample_options
from catgen.training import distributed


class Benched(NamedTuple):
  """What samples of each kind are worth, as it stands in the JSON file: first those of the data."""

  rows: list[dict[str, Any]]
  position: str
  counts: str  # what cross-entropies are of
  guidance: str | None  # what guided samples follow
  path: str
  picture: str
  num_kept: int = 0  # rows that the file had already
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
  path, picture = judging.output_of(run, output, "bench_steps")
  config = run.record.config
  how = judging.judging_of(
    run, num_samples, batch_size or config["sampling"]["batch_size"], seed, numbers_of(run.record, given)
  )
  rows = judging.of_data(how, split or config["evaluation"]["split"])
  digest = kept.digest_of_run(run, [how.num_samples, how.batch_size, how.seed], how.given)
  measurements = [kept.measurement(digest, options._asdict(), partial(_row, how, options)) for options in kinds]
  done = judging.one_by_one(run, rows, measurements, path, progress, unit="kind", title="bench the steps")
  counts, position = how.judge.counts, run.record.position
  distributed.first_does(lambda: judging.draw(rows, picture, position=position, counts=counts))
  return Benched(rows, position, counts, explained_guidance(kinds[0]), path, picture, done.num_kept, done.exit_code)


def describe(benched: Benched) -> str:
  """Returns a table of the kinds of samples, with standard errors over examples, and where it is written."""
  columns = {"calls": "calls", **judging.columns_of(benched.rows, benched.counts)}
  table = [[row["name"], *(judging.cell(row, name) for name in columns)] for row in benched.rows]
  number = benched.rows[0]["num_examples"]
  notes = [
    f"bits per {benched.position}; {number:,} examples each, ± standard errors",
    judging.NOTE.format(position=benched.position),
    *([benched.guidance] if benched.guidance else []),
    *kept.note(benched.num_kept, benched.path),
    f"written to {benched.path}; picture: {benched.picture}",
  ]
  return "\n".join([terminal.table(["examples", *columns.values()], table), *notes])


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


def _row(how: Judging, options: SampleOptions) -> dict[str, Any]:
  """Returns what samples of one kind are worth."""
  way = f"correction {options.correction:g}" if options.correction else "no correction"
  row = {"name": _named(options), "calls": _calls(options), "correction": options.correction, "way": way}
  return row | judging.judged(how, judging.drawn(how, options))
