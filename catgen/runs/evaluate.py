"""The likelihood of a trained model on a split: measured, explained, and kept in the work directory."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Any, Literal, NamedTuple

import jax

from catgen.batches import batch_of
from catgen.evaluation import estimators, likelihood, results, samples
from catgen.evaluation.likelihood import Likelihood
from catgen.files import check_folder
from catgen.interfaces import InputError
from catgen.keys import root_key
from catgen.paths import expanded, join
from catgen.reporting import charts, terminal, writers
from catgen.reporting.progress import OpenProgress, no_progress
from catgen.runs.by_products import ByProducts
from catgen.runs.experiment import evaluation_batches, first_examples
from catgen.runs.load import Run, load
from catgen.runs.partial import Partial
from catgen.runs.record import definition, history_of, read_record
from catgen.training import sharding
from catgen.training.checkpoint import checkpoint_steps
from catgen.training.signals import Stopped, catch_signals

_PICTURED = 8  # samples beside as many held-out examples
_MEANINGS = {
  "exact": "exact log-likelihood",
  "elbo": "upper bound by random time steps or latents (ELBO)",
  "full": "upper bound by the sum over all time steps (ELBO)",
  "iwbo": "upper bound, importance weighted (IWBO)",
}


class Evaluated(NamedTuple):
  """One evaluation."""

  result: dict[str, Any]  # as it stands in results.json
  likelihood: Likelihood
  path: str | None  # of results.json; None where it could not be written
  pictures: tuple[str, ...]


class Watched(NamedTuple):
  """The evaluations of a running job's checkpoints."""

  evaluations: tuple[Evaluated, ...]


def evaluate(
  run: Run,
  *,
  split: str | None = None,
  estimator: estimators.Name | None = None,
  num_draws: int | None = None,
  num_replicates: int | None = None,
  max_examples: int | None = None,
  batch_size: int | None = None,
  draws_at_once: int | None = None,
  invalid_samples: int | None = None,
  context: int = 0,
  given: Literal["data", "none"] = "data",
  pictures: bool = True,
  output: str | None = None,
  seed: int = 0,
  say: Callable[[str], None] = print,
  progress: OpenProgress = no_progress,
) -> Evaluated:
  """Evaluates a checkpoint, shows the result, adds it to results.json and keeps the nats of every example in scores/.

  A signal to stop (Ctrl-C, SIGTERM) ends it after the call of the device in hand; the batches that were scored are
  kept, and the same command goes on with the others. A work directory that cannot be written costs no number.

  Args:
    run: what to evaluate. Where None is given below, the run's configuration says it, in its section `evaluation`.
    split: train, validation or test.
    estimator: what to compute.
    num_draws: draws per example, averaged; S of iwbo.
    num_replicates: repetitions of the whole estimate, for its Monte Carlo error.
    max_examples: evaluate only the first so many; 0 = all.
    batch_size: examples at a time.
    draws_at_once: draws in one device call: more are faster while memory lasts.
    invalid_samples: samples drawn to find the share of codes without a category; 0 = none.
    context: positions that each window of a stream reads, unscored, before those that it scores.
    given: whether a model with labels is given those of the data, or none.
    pictures: draw a few samples, where examples can be pictured, for a picture of them beside held-out ones.
    output: folder for results.json, scores/ and pictures; default: the work directory.
    seed: of the draws.
    say: receives lines about what is done.
    progress: opens the bar.

  Raises:
    InputError: the model lacks the estimator, the data are not there, or results could not be written to `output`.
    Stopped: a signal ended it.
  """
  folder, beside = run.workdir if output is None else expanded(output), ByProducts(say)
  _try_results(folder, output, say)
  options = {
    "split": split,
    "estimator": estimator,
    "num_draws": num_draws,
    "num_replicates": num_replicates,
    "max_examples": max_examples,
    "batch_size": batch_size,
    "draws_at_once": draws_at_once,
    "invalid_samples": invalid_samples,
  }
  settings = {**run.record.config["evaluation"], **{key: value for key, value in options.items() if value is not None}}
  source = run.source()
  found, partial_scores = _measure(run, settings, context, given, seed, folder, progress)
  result = results.likelihood_record(
    found,
    source,
    split=settings["split"],
    step=run.step,
    ema=run.uses_ema,
    config=run.record.config,
    invalid=_invalid(run, settings["invalid_samples"], seed),
    context=context,
    history=history_of(run.record),
  )
  say(shown(result))
  path = None
  with beside.may_fail("results"):
    results.save_scores(folder, result, found)
    path = str(results.add_results(folder, result))
    partial_scores.remove()  # not before: whatever ends it until then costs no batch
  drawn: list[str] = []
  with beside.may_fail("pictures"):
    drawn += _draw_anatomy(run, found, settings["split"], folder)
    if pictures and run.media.pictured.beside is not None:
      drawn.append(_draw_beside_data(run, settings["split"], seed, folder, say))
      writers.show_pictures(folder, run.step, drawn)
  return Evaluated(result, found, path, tuple(drawn))


def watch(
  workdir: str,
  *,
  watch_seconds: float = 10.0,
  ema: bool = True,
  say: Callable[[str], None] = print,
  **options: Any,
) -> Watched:
  """Evaluates each checkpoint of a running job as it appears, until the run is finished.

  Args:
    workdir: of the run.
    watch_seconds: seconds between two looks for a new checkpoint.
    ema: see `load`.
    say: receives each evaluation as text.
    options: of `evaluate`.
  """
  done, source = [], None
  for step in new_checkpoints(workdir, read_record(workdir).config["training"]["num_steps"], watch_seconds):
    try:
      run = load(workdir, step=step, ema=ema, say=say)
    except InputError:
      if step not in checkpoint_steps(workdir):
        continue  # the running job has replaced it
      raise
    source = source or run.source
    done.append(evaluate(run._replace(source=source), say=say, **options))
    if told := describe(done[-1]):
      say(told)
  return Watched(tuple(done))


def new_checkpoints(workdir: str, last: int, seconds: float) -> Iterator[int]:
  """Yields each checkpoint's step as it appears, until that of step `last`."""
  seen: set[int] = set()
  while True:
    for step in checkpoint_steps(workdir):
      if step not in seen:
        seen.add(step)
        yield step
    if last in seen:
      return
    time.sleep(seconds)


def describe(evaluated: Evaluated) -> str:
  """Returns what an evaluation, which has shown its number itself, has left on the disk."""
  lines = [f"pictures: {', '.join(evaluated.pictures)}"] if evaluated.pictures else []
  return "\n".join([*lines, *([] if evaluated.path is None else [f"written to {evaluated.path}"])])


def shown(record: Mapping[str, Any]) -> str:
  """Returns a record of results.json, with its meaning, in a few lines: bits per position, their errors and terms."""
  rows = [
    [record["unit"], terminal.plus_minus(record["value"], record["data_error"]), "standard error over examples"],
    [
      "",
      terminal.plus_minus(record["value"], record["monte_carlo_error"]),
      "standard error of the estimate (Monte Carlo)",
    ],
    *[[f"  {name}", _shown(value), "term"] for name, value in record["terms"].items()],
  ]
  heading = (
    f"{record['split']} split, step {record['step']}{', averaged parameters' if record['ema'] else ''}:"
    f" {_MEANINGS[record['estimator']]}, {record['num_draws']} draw(s), {record['num_replicates']} replicate(s),"
    f" {record['num_examples']:,} examples"
    + (f", windows with {record['context']} positions of context" if "context" in record else "")
    + (f", labels given: {record['given']}" if "given" in record else "")
  )
  notes = [f"warning: {line}" for line in record["warnings"]]
  if (invalid := record["invalid"]) is not None:
    error = None if invalid["error"] is None else 100 * invalid["error"]
    notes.append(
      f"codes that mean no category: {terminal.plus_minus(100 * invalid['positions'], error, 2)} % of the positions "
      f"and {invalid['examples']:.0%} of the examples, in {invalid['num_samples']} samples"
    )
  return "\n".join([heading, terminal.table(["unit", "value", "meaning"], rows), *notes])


def _shown(value: float | None) -> str:
  return "?" if value is None else f"{round(value, 4) + 0.0:.4f}"


def describe_watched(watched: Watched) -> str:
  """Returns how many checkpoints were evaluated; each was told of when it was done."""
  return f"{len(watched.evaluations)} checkpoint(s) evaluated"


def _try_results(folder: str, output: str | None, say: Callable[[str], None]) -> None:
  """Tries, before the work, whether results can be written; a work directory that is read-only is a line, no error."""
  remedy = "choose another --output" if output else "--output=FOLDER keeps the results elsewhere"
  try:
    check_folder(folder, remedy=remedy)
  except InputError as error:
    if output:
      raise
    say(f"{error}; without it they are only shown")
    return
  results.read_results(folder)
  check_folder(join(folder, results.SCORES_FOLDER), remedy=remedy)


def _measure(
  run: Run, settings: dict[str, Any], context: int, given: str, seed: int, folder: str, progress: OpenProgress
) -> tuple[Likelihood, Partial]:
  """Returns the likelihood, and what keeps its batches until the results are written."""
  how = {**settings, "context": context, "given": given, "seed": seed, "step": run.step, "ema": run.uses_ema}
  what = {"definition": definition(run.record), "data": run.record.fingerprint, "history": history_of(run.record)}
  partial_scores = Partial(folder, {**how, **what})
  done = partial_scores.load()
  mesh = sharding.make_mesh(data=1, devices=jax.devices()[:1])
  split, size, limit = settings["split"], settings["batch_size"], settings["max_examples"]
  batches = list(evaluation_batches(run.source(), split, size, limit, context))
  title = f"evaluate step {run.step}"
  with catch_signals() as request, closing(progress(len(batches), unit="batch", title=title, done=len(done))) as bar:

    def advance(share: float) -> None:
      bar.update(share)
      request.check("")

    try:
      found = likelihood.evaluate(
        run.model,
        run.params,
        run.state,
        batches,
        key=root_key(seed),
        estimator=settings["estimator"],
        num_draws=settings["num_draws"],
        num_replicates=settings["num_replicates"],
        draws_at_once=settings["draws_at_once"],
        given=given,
        place=partial(sharding.place, mesh=mesh),
        progress=advance,
        done=done,
        keep=partial_scores.keep,
      )
    except Stopped as stop:
      kept = partial_scores.write() or not partial_scores.parts
      comfort = "the same command goes on" if kept else "what was scored could not be kept"
      told = f"stopped after {len(partial_scores.parts)} of {len(batches)} batches; {comfort}"
      raise Stopped(told, stop.code) from stop
  return found, partial_scores


def _invalid(run: Run, num_samples: int, seed: int) -> samples.Invalid | None:
  """Returns what of so many samples means no category, where the model has such codes."""
  if num_samples < 0:
    raise InputError(f"invalid_samples is {num_samples}; give a number of samples, or 0 for none")
  if run.model.latent is None or not run.model.latent.has_unused_codes or num_samples == 0:
    return None
  return samples.invalid_share(run.sample(num_samples, seed=seed).valid)


def _draw_anatomy(run: Run, found: Likelihood, split: str, folder: str) -> Iterator[str]:
  if found.anatomy is not None:
    path = join(folder, f"anatomy_{split}.png")
    charts.bound_anatomy(found.anatomy.by_time, found.anatomy.by_position, path, position=run.record.position)
    yield path


def _draw_beside_data(run: Run, split: str, seed: int, folder: str, say: Callable[[str], None]) -> str:
  """Draws a few samples, pictures them beside held-out examples, and returns the picture's path."""
  assert run.media.pictured.beside is not None
  steps = run.record.config["sampling"]["num_steps"]
  how = "" if steps is None else f" in sampling.num_steps = {steps} network calls"
  say(f"drawing {_PICTURED} samples{how} for a picture (--pictures=false leaves it out)")
  drawn = run.sample(_PICTURED, seed=seed)
  sets = {"held-out data": first_examples(run.source(), split, _PICTURED), "samples": batch_of(drawn.x, drawn.valid)}
  path = join(folder, f"samples_beside_{split}.png")
  run.media.pictured.beside(path, sets, title=f"Data and samples, step {run.step:,}")
  return path
