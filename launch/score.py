"""Says how unusual examples are: bits per position under a trained model, and where they stand among training examples.

  python -m launch.score --workdir=runs/quickstart --input=sentences.txt                # one example a line
  python -m launch.score --workdir=runs/maps --input=maps.npy --output=scores.jsonl     # one map, or several
  python -m launch.score --workdir=runs/maps --split=test

Percentile 99 = less likely (more bits per position) than 99 % of --reference examples spread over the training split.
Those are scored once, by the same estimator with the same draws, and kept in scores/ of the work directory; then no
data are needed. A bound that is drawn at random is noisy for a single example: take more --num_draws where the errors
in the table are not small beside the spread of the training examples.
"""

import functools
import json
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags

from catgen import build
from catgen.batches import batch_of, take
from catgen.data import eval_batches, get_split
from catgen.data.splits import record_split
from catgen.evaluation import comparison, likelihood, outliers, results
from catgen.evaluation.likelihood import Likelihood
from catgen.interfaces import Batch, DataSource, InputError
from catgen.reporting import progress, text
from launch import cli, inputs

FLAGS = flags.FLAGS

_NUM_REPLICATES = 4
_SHOWN_CHARACTERS = 60


class Settings(NamedTuple):
  """How examples are scored."""

  estimator: str | None  # None: what the family does best
  num_draws: int
  seed: int


def main() -> None:
  run = build.load(cli.workdir(), step=cli.step_flag(FLAGS.step), say=cli.say)
  load_source = functools.cache(partial(build.source_of, run.record))
  given = given_examples(run, load_source, path=FLAGS.input, split=FLAGS.split, max_examples=FLAGS.max_examples)
  if FLAGS.output is not None:
    with cli.writing(FLAGS.output):  # before the work, not after it
      open(FLAGS.output, "a").close()
  settings = Settings(FLAGS.estimator, FLAGS.num_draws, FLAGS.seed)
  records = score(run, cli.workdir(), given, settings, load_source, num_reference=FLAGS.reference, top=FLAGS.top)
  if FLAGS.output is not None:
    with cli.writing(FLAGS.output), open(FLAGS.output, "w") as file:
      file.writelines(f"{json.dumps(record, allow_nan=False)}\n" for record in records)
    cli.say(f"{len(records):,} scores written to {FLAGS.output}")


def given_examples(
  run: build.Run, load_source: Callable[[], DataSource], *, path: str | None, split: str | None, max_examples: int = 0
) -> Batch:
  """Returns the examples of a file, or of a split of the run's data (0: all), numbered as there; lines of text from 1.

  Raises:
    InputError: both or none of them are given, or an example does not fit the model.
  """
  if (path is None) == (split is None):
    raise InputError("say what to score: either --input=file or --split=test")
  if split is not None:
    return spread_examples(load_source(), split, max_examples)
  assert path is not None
  if not inputs.is_text(run):
    x = inputs.read_examples(path, run)
    return batch_of(x)
  padded, lines = [], inputs.read_lines(path)
  for number, line in lines.items():
    try:
      padded.append(build.padded(run.encode(line), run.record.event))
    except InputError as error:
      raise InputError(f"{path}, line {number}: {error}") from error
  x, valid = map(np.stack, zip(*padded, strict=True))
  return batch_of(x, valid, index=np.array(list(lines)))


def spread_examples(source: DataSource, split: str, number: int) -> Batch:
  """Returns so many examples of a split (0: all), evenly spread over it."""
  chosen = get_split(source, split)
  count = min(number or chosen.num_examples, chosen.num_examples)
  numbers = np.round(np.linspace(0, chosen.num_examples - 1, count)).astype(np.int64)
  return chosen.examples(numbers)


def score(
  run: build.Run,
  workdir: str,
  given: Batch,
  settings: Settings,
  load_source: Callable[[], DataSource],
  *,
  num_reference: int = 512,
  top: int = 10,
) -> list[dict[str, Any]]:
  """Scores examples, prints the most unusual ones and how their set stands apart, and returns a record of each.

  `load_source` gives the run's data; it is called only where no scores of training examples are kept yet.
  """
  if num_reference < 1:
    raise InputError(f"--reference is {num_reference}; at least one training example is needed to compare with")
  found = _evaluate(run, given, settings, "score")
  settings = settings._replace(estimator=found.estimator, num_draws=found.num_draws)
  reference = _reference_bits(run, workdir, settings, load_source, num_reference)
  scored = outliers.example_bits(found.nats, found.positions, exact=found.estimator == "exact")
  standing = outliers.percentiles(scored.bits, reference)
  _show(run, given, found, scored, reference, top)
  common = {
    "unit": f"bits per {run.record.position}",
    "estimator": found.estimator,
    "num_draws": found.num_draws,
    "num_replicates": found.num_replicates,
    "num_reference": len(reference),
    "step": run.step,
    "ema": run.uses_ema,
  }
  return [
    results.without_nan(
      {
        "example": int(given.index[number]),
        "percentile": float(standing[i]),
        "bits": float(scored.bits[i]),
        "monte_carlo_error": float(scored.errors[i]),
        "positions": int(found.positions[i]),
        **common,
      }
    )
    for i, number in enumerate(found.numbers)
  ]


def _evaluate(run: build.Run, given: Batch, settings: Settings, title: str) -> Likelihood:
  size = min(run.record.config["evaluation"]["batch_size"], len(given.x))
  split = record_split(len(given.x), partial(take, given))
  bar = progress.open_progress(-(-len(given.x) // size), unit="batch", title=title)
  try:
    return likelihood.evaluate(
      run.model,
      run.params,
      run.state,
      eval_batches(split, batch_size=size),
      key=jax.random.key(settings.seed),
      estimator=settings.estimator,
      num_draws=settings.num_draws,
      num_replicates=_NUM_REPLICATES,
      same_draws=True,
      progress=bar.update,
    )
  finally:
    bar.close()


def _reference_bits(
  run: build.Run, workdir: str, settings: Settings, load_source: Callable[[], DataSource], number: int
) -> np.ndarray:
  """Returns bits per position of training examples, read where the same scores were computed before."""
  identity = {
    "split": f"reference{number}_seed{settings.seed}",
    "step": run.step,
    "ema": run.uses_ema,
    "estimator": settings.estimator,
    "num_draws": settings.num_draws,
  }
  path = results.scores_path(workdir, identity)
  kept: comparison.Scores | Likelihood
  try:
    kept = comparison.read_scores(path)
  except InputError:  # none yet, or damaged
    kept = _evaluate(run, spread_examples(load_source(), "train", number), settings, "score training examples")
    results.save_scores(workdir, identity, kept)
  return outliers.example_bits(kept.nats, kept.positions).bits


def _show(
  run: build.Run,
  given: Batch,
  found: Likelihood,
  scored: outliers.ExampleBits,
  reference: np.ndarray,
  top: int,
) -> None:
  standing, is_text = outliers.percentiles(scored.bits, reference), inputs.is_text(run)
  rows = []
  for i in np.argsort(-scored.bits, kind="stable")[:top]:
    number = found.numbers[i]
    row = [str(given.index[number]), f"{standing[i]:.1f}", f"{scored.bits[i]:.4f}", f"{scored.errors[i]:.4f}"]
    if is_text:
      row.append(text.visible(run.decode(given.x[number], given.valid[number]))[:_SHOWN_CHARACTERS])
    rows.append(row)
  unit = f"bits per {run.record.position}"
  cli.say(text.table(["example", "percentile", unit, "± Monte Carlo"] + ["text"] * is_text, rows))
  drawn = "" if found.estimator == "exact" else f", {found.num_draws} draw(s) x {found.num_replicates} replicates"
  cli.say(
    f"the {len(rows)} most unusual of {len(scored.bits):,}; estimator {found.estimator}{drawn}, the same for all\n"
    f"reference: {len(reference):,} training examples, {reference.mean():.4f} {unit}, standard deviation "
    f"{reference.std():.4f}; percentile 99 = less likely than 99 % of them"
  )
  if len(scored.bits) > 1:
    apart = outliers.separation(scored.bits, reference)
    cli.say(
      "a random one of these examples is less likely than a random training example with probability "
      f"{text.plus_minus(apart.probability, apart.error, 3)} (0.5: alike, 1: apart)"
    )
  for line in found.warnings:
    cli.say(f"warning: {line}")


def define_flags() -> None:
  flags.DEFINE_string("step", "best", "checkpoint: best (by validation), latest, or a number")
  flags.DEFINE_string("input", None, "text: a file with one example a line; otherwise .npy of one example or several")
  flags.DEFINE_string("split", None, "score examples of the run's data: train, validation or test")
  flags.DEFINE_integer("max_examples", 512, "how many of --split, evenly spread over it; 0 = all")
  flags.DEFINE_enum(
    "estimator", None, ["exact", "elbo", "full", "iwbo"], "what to compute; default: as launch.evaluate"
  )
  flags.DEFINE_integer("num_draws", 4, f"draws per example, in each of {_NUM_REPLICATES} replicates; S of iwbo")
  flags.DEFINE_integer("reference", 512, "how many training examples to compare with, evenly spread over the split")
  flags.DEFINE_integer("seed", 0, "of the draws")
  flags.DEFINE_integer("top", 10, "how many of the most unusual examples to print")
  flags.DEFINE_string("output", None, "also write all scores to this file, one JSON object a line")


if __name__ == "__main__":
  define_flags()
  cli.run(main)
