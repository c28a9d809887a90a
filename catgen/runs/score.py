"""How unusual examples are: bits per position under a trained model, and where they stand among training examples."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from catgen.batches import take
from catgen.bounds import Estimate
from catgen.data import eval_batches, get_split
from catgen.data.splits import record_split
from catgen.evaluation import comparison, estimators, likelihood, outliers, results
from catgen.evaluation.likelihood import Likelihood
from catgen.files import check_apart, check_writable, writing
from catgen.interfaces import Batch, InputError
from catgen.keys import root_key
from catgen.media.medium import Examples, evenly, reader
from catgen.media.table_files import Beyond
from catgen.records import shown_briefly
from catgen.reporting import terminal
from catgen.reporting.progress import OpenProgress, no_progress
from catgen.runs.by_products import ByProducts, shown_where_lost
from catgen.runs.experiment import checked_limit
from catgen.runs.handed_in import several
from catgen.runs.load import Run
from catgen.runs.own_encoding import encoding_for
from catgen.runs.record import with_labels
from catgen.training import distributed

_NUM_REPLICATES = 4
_OF_SPLIT = 512  # examples
_SHOWN_CHARACTERS = 60


@shown_briefly
class Scored(NamedTuple):
  """The scores of examples, in their order."""

  likelihood: Likelihood
  names: Int[np.ndarray, "examples"]  # numbers in a file or a split, or of lines
  shown: list[str]  # each example in a line; empty where examples are no lines
  bits: Float[np.ndarray, "examples"]  # per position
  errors: Float[np.ndarray, "examples"]  # of the bits, Monte Carlo; 0 where exact
  reference: Float[np.ndarray, "references"] | None  # bits per position of training examples
  percentiles: Float[np.ndarray, "examples"] | None  # among the reference
  position: str
  step: int
  ema: bool
  top: int  # how many to print
  output: str | None
  beyond: Sequence[Sequence[Beyond]] | None = None  # of tables, of each example: numbers outside the bins

  @property
  def estimate(self) -> Estimate:
    """Of all examples together: bits per position, with standard errors."""
    return self.likelihood.estimate

  @property
  def nats(self) -> Float[np.ndarray, "replicates examples"]:
    """Of each example; bounds on log p(x), or log p(x)."""
    return self.likelihood.nats

  @property
  def positions(self) -> Int[np.ndarray, "examples"]:
    """How many positions of each example count."""
    return self.likelihood.positions


def score(
  run: Run,
  examples: Examples | None = None,
  *,
  input: str | None = None,
  encoding: str | None = None,
  split: str | None = None,
  consecutive: bool = False,
  max_examples: int | None = None,
  estimator: estimators.Name | None = None,
  given: Sequence[str] = (),
  num_draws: int = 4,
  reference: int = 512,
  seed: int = 0,
  top: int = 10,
  output: str | None = None,
  say: Callable[[str], None] = print,
  progress: OpenProgress = no_progress,
) -> Scored:
  """Scores examples. Percentile 99 = less likely (more bits per position) than 99 % of the reference.

  The reference is scored once, by the same estimator with the same draws, and kept in scores/ of the work directory;
  then no data are needed. With a reference all examples share their draws, so that chance hardly changes their order;
  without one each has its own, so that the mean over them is more exact.

  Args:
    run: the model.
    examples: texts or arrays, or one of them; -1 in an array is a position that is not scored.
    input: a file as `sample` writes them: .npy of one example or several; of text also .jsonl, or one example a line;
      of tables .csv, .tsv, .parquet and .jsonl too.
    encoding: of a text of --input without a byte order mark: "utf-8", "utf-16-le", "latin-1", "cp1252" ...; default:
      UTF-8 where the file is, else that of the run's data.
    split: score examples of the run's data: train, validation or test.
    consecutive: of examples that are handed in or of --input: they are pieces of one text, in its order, and so not
      independent; the error over examples then allows for that, as of --split where the data are one stream.
    max_examples: how many of --split, evenly spread over it; 0 = all; default: 512.
    estimator: what to compute; default: exact where the model can, otherwise elbo.
    given: a label of all examples that are handed in, name=value; may be repeated. Those of the data have their own.
    num_draws: draws per example, in each of 4 replicates; S of iwbo.
    reference: how many training examples to compare with, evenly spread over the split.
    seed: of the draws.
    top: how many of the most unusual examples to print.
    output: also write all scores to this file, one JSON object a line.
    say: receives a line where the reference cannot be made, or its scores cannot be kept.
    progress: opens the bar.

  Raises:
    InputError: there is nothing to score, or it does not fit the model.
  """
  if top < 0:
    raise InputError(f"--top is {top}; give a number of examples to print, or 0 for none")
  if estimator == "order":
    raise InputError("scores are of the model's own p(x); --estimator=order is for evaluate, which takes an --order")
  if reference < 0:
    raise InputError(f"--reference is {reference}; give a number of training examples, or 0 to compare with none")
  check_apart(output, input)
  distributed.first_does(lambda: check_writable(output))
  batch, beyond = examples_of(run, examples, input, split, max_examples, given, encoding)
  measure = partial(
    measured, run, estimator=estimator, num_draws=num_draws, seed=seed, same_draws=reference > 0, progress=progress
  )
  if split is not None:
    consecutive = get_split(run.source(), split).consecutive
  found = measure(batch, title="score", consecutive=consecutive)
  bits, errors = outliers.example_bits(found.nats, found.positions, exact=found.estimator == "exact")
  beside = _reference_bits(run, found, reference, seed, measure, say) if reference else None
  lines = run.media.shown(batch) if run.media.line_each else []
  scored = Scored(
    likelihood=found,
    names=np.asarray(batch.index)[found.numbers],
    shown=[lines[number] for number in found.numbers] if lines else [],
    bits=bits,
    errors=errors,
    reference=beside,
    percentiles=None if beside is None else outliers.percentiles(bits, beside),
    position=run.record.position,
    step=run.step,
    ema=run.uses_ema,
    top=top,
    output=output,
    beyond=None if beyond is None else [beyond.get(int(number), ()) for number in found.numbers],
  )
  if output is not None:
    with shown_where_lost(say, lambda: describe(scored._replace(output=None))):
      distributed.first_does(lambda: _write(scored, output))
  return scored


def _write(scored: Scored, output: str) -> None:
  with writing(output) as file:
    file.writelines(f"{json.dumps(each, allow_nan=False)}\n".encode() for each in records(scored))


def records(scored: Scored) -> list[dict[str, Any]]:
  """Returns a JSON object of each example."""
  found, missing = scored.likelihood, [None] * len(scored.bits)
  common = {
    "unit": f"bits per {scored.position}",
    "estimator": found.estimator,
    "num_draws": found.num_draws,
    "num_replicates": found.num_replicates,
    "num_reference": 0 if scored.reference is None else len(scored.reference),
    "step": scored.step,
    "ema": scored.ema,
  }
  columns = {
    "example": scored.names.tolist(),
    "percentile": missing if scored.percentiles is None else scored.percentiles.tolist(),
    "bits": scored.bits.tolist(),
    "monte_carlo_error": scored.errors.tolist(),
    "positions": found.positions.tolist(),
  }
  if scored.beyond is not None:
    columns["beyond"] = [[each._asdict() for each in some] for some in scored.beyond]
  rows = zip(*columns.values(), strict=True)
  return [results.without_nan({**dict(zip(columns, row, strict=True)), **common}) for row in rows]


def describe(scored: Scored) -> str:
  """Returns a table of the most unusual examples, and how their set stands apart."""
  found, unit, rows = scored.likelihood, f"bits per {scored.position}", []
  exact = found.estimator == "exact"
  beyond = scored.beyond if scored.beyond is not None and any(scored.beyond) else None
  for i in np.argsort(-scored.bits, kind="stable")[: scored.top]:
    standing = "" if scored.percentiles is None else f"{scored.percentiles[i]:.1f}"
    row = [str(scored.names[i]), standing, f"{scored.bits[i]:.4f}", "" if exact else f"{scored.errors[i]:.4f}"]
    row += [", ".join(map(_cell, beyond[i]))] if beyond is not None else []
    rows.append(row + ([scored.shown[i][:_SHOWN_CHARACTERS]] if scored.shown else []))
  draws = f", {terminal.counted(found.num_draws, 'draw')} x {terminal.counted(found.num_replicates, 'replicate')}"
  header = ["example", "percentile", unit, "± Monte Carlo"]
  header += ["beyond the bins"] if beyond is not None else []
  header += ["text"] if scored.shown else []
  lines = [
    terminal.table(header, rows),
    f"the {len(rows)} most unusual of {len(scored.bits):,}; estimator {found.estimator}{'' if exact else draws}",
  ]
  if scored.reference is not None:
    lines[-1] += "" if exact else ", the same for all"
    lines += _beside(scored.bits, scored.reference, unit)
  lines += _said_beyond(scored)
  lines += [f"warning: {line}" for line in found.warnings]
  lines += [f"{len(scored.bits):,} scores written to {scored.output}"] if scored.output is not None else []
  return "\n".join(lines)


def _cell(each: Beyond) -> str:
  return f"{terminal.visible(each.column)}={terminal.visible(each.cell)}"


def _said_beyond(scored: Scored) -> list[str]:
  """Returns lines that name rows with numbers outside the bins: their scores do not say how far."""
  if scored.beyond is None or not any(scored.beyond):
    return []
  places = [i for i, some in enumerate(scored.beyond) if some]
  lines = [
    f"{terminal.counted(len(places), 'example')} with numbers outside the bins of the training rows, each scored as one"
    " of the outermost bin, so that no percentile says how odd they are:"
  ]
  for i in places[: max(1, scored.top)]:
    said = (f"{_cell(each)} (bins: {each.lowest} to {each.highest})" for each in scored.beyond[i])
    lines.append(f"  example {scored.names[i]}: {', '.join(said)}")
  more = len(places) - max(1, scored.top)
  return [*lines, f"  and {more:,} more, which --output has"] if more > 0 else lines


def _beside(bits: np.ndarray, reference: np.ndarray, unit: str) -> list[str]:
  lines = [
    f"reference: {len(reference):,} training examples, {reference.mean():.4f} {unit}, standard deviation "
    f"{reference.std():.4f}; percentile 99 = less likely than 99 % of them"
  ]
  if len(bits) > 1:
    apart = outliers.separation(bits, reference)
    lines.append(
      "a random one of these examples is less likely than a random training example with probability "
      f"{terminal.plus_minus(apart.probability, apart.error, 3)} (0.5: alike, 1: apart)"
    )
  return lines


def examples_of(
  run: Run,
  examples: Examples | None,
  path: str | None,
  split: str | None,
  max_examples: int | None,
  labels: Sequence[str],
  encoding: str | None = None,
) -> tuple[Batch, Mapping[int, Sequence[Beyond]] | None]:
  """Returns the examples that are handed in, or those of a file or a split; see `score`.

  With them, of rows of tables that are handed in and by the number of the row, the numbers outside the bins.
  """
  encoding = encoding_for(run.record, path, encoding)
  read = reader(run.media, path, encoding)
  if examples is None and (path is None) == (split is None):
    raise InputError("say what to score: either --input=file or --split=test")
  if examples is None and path is None and split is not None:
    if labels:
      raise InputError("--given is a label of the examples of --input; those of a split have their own, leave it out")
    return spread_examples(run, split, max_examples), None
  check_is_of_split(max_examples)
  if examples is not None:
    examples = several(run.media, run.record.event.shape, examples)
  beyond = None
  if run.media.with_beyond is not None:  # which count as in the outermost bin
    batch, beyond = run.media.with_beyond(path if examples is None else examples, encoding)
  else:
    batch = read(path) if examples is None else run.media.typed(examples)
  return with_labels(batch, run.record, labels), beyond


def check_is_of_split(max_examples: int | None) -> None:
  """Raises InputError where a number of examples is given with others than those of a split, which are all taken."""
  if max_examples is not None:
    raise InputError("--max_examples is how many of --split; leave it out, and hand in as many as are wanted")


def spread_examples(run: Run, split: str, number: int | None) -> Batch:
  """Returns so many examples of a split of the run's data (0: all, None: 512), evenly spread over it."""
  chosen, number = get_split(run.source(), split), checked_limit(_OF_SPLIT if number is None else number)
  return chosen.examples(evenly(chosen.num_examples, min(number or chosen.num_examples, chosen.num_examples)))


def measured(
  run: Run,
  batch: Batch,
  *,
  title: str,
  estimator: str | None,
  num_draws: int,
  seed: int,
  same_draws: bool,
  progress: OpenProgress,
  consecutive: bool = False,
) -> Likelihood:
  """Returns the likelihood of examples, in batches of the run's size; see `score`."""
  size = run.spread.filled(min(max(1, run.record.config["evaluation"]["batch_size"]), len(batch.x)))
  split = record_split(
    len(batch.x), lambda numbers: take(batch, numbers)._replace(index=numbers), run.record.event.given
  )
  with closing(progress(-(-len(batch.x) // size), unit="batch", title=title)) as bar:
    return likelihood.evaluate(
      run.model,
      run.params,
      run.state,
      eval_batches(split, batch_size=size, process_index=jax.process_index(), process_count=jax.process_count()),
      key=root_key(seed),
      estimator=estimator,
      num_draws=num_draws,
      num_replicates=_NUM_REPLICATES,
      same_draws=same_draws,
      consecutive=consecutive,
      spread=run.spread,
      progress=bar.update,
    )


def _reference_bits(
  run: Run,
  found: Likelihood,
  number: int,
  seed: int,
  measure: Callable[..., Likelihood],
  say: Callable[[str], None],
) -> Float[np.ndarray, "references"] | None:
  """Returns bits per position of training examples, read where the same scores were computed before.

  Where the data cannot be found a line says so, and there is no reference: what was scored is shown all the same.
  """
  identity = {
    "split": f"reference{number}_seed{seed}",
    "step": run.step,
    "ema": run.uses_ema,
    "estimator": found.estimator,
    "num_draws": found.num_draws,
  }
  path = results.scores_path(run.workdir, identity)
  kept: comparison.Scores | Likelihood
  if distributed.first_tells(lambda: _there(path)):
    kept = comparison.read_scores(path)
  else:
    try:
      trained_on = spread_examples(run, "train", number)
    except InputError as error:
      say(f"warning: no training examples to compare with: {error}; --reference=0 does without them")
      return None
    kept = measure(trained_on, title="score training examples")
    with ByProducts(say).may_fail("record of the scores of training examples"):
      if jax.process_index() == 0:
        results.save_scores(run.workdir, identity, kept)
  return outliers.example_bits(kept.nats, kept.positions).bits


def _there(path: str) -> bytes:
  """Returns some bytes where scores are kept that can be read, and none where there are none yet, or damaged ones."""
  try:
    comparison.read_scores(path)
    return b"there"
  except InputError:
    return b""
