"""The likelihood of a trained model on a split: measured, explained, and kept in the work directory."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Literal, NamedTuple

import jax

from catgen import orders
from catgen.batches import batch_of
from catgen.data import get_split
from catgen.evaluation import estimators, likelihood, results, samples
from catgen.evaluation.likelihood import Likelihood
from catgen.files import check_folder
from catgen.interfaces import InputError, ReadOptions
from catgen.keys import root_key
from catgen.paths import expanded, join, name_of, parent_of
from catgen.records import shown_briefly
from catgen.reporting import charts, terminal, tracking, writers
from catgen.reporting.progress import OpenProgress, no_progress
from catgen.runs import blocks as planned
from catgen.runs import lock, table_density
from catgen.runs.by_products import ByProducts
from catgen.runs.experiment import evaluation_batches, first_examples
from catgen.runs.load import Run
from catgen.runs.owners import InUse
from catgen.runs.partial import Partial, unfinished
from catgen.runs.record import history_of
from catgen.runs.sample import sample, sample_options
from catgen.training import distributed
from catgen.training.signals import Stopped, catch_signals

_PICTURED = 8  # samples beside as many held-out examples
_MEANINGS = {
  "exact": "exact log-likelihood",
  "elbo": "upper bound by random time steps or latents (ELBO)",
  "full": "upper bound by the sum over all time steps (ELBO)",
  "iwbo": "upper bound, importance weighted (IWBO)",
  "order": "exact log-likelihood of samples by",
}


@shown_briefly
class Evaluated(NamedTuple):
  """One evaluation."""

  result: dict[str, Any]  # as it stands in results.json
  likelihood: Likelihood
  path: str | None  # of results.json; None where it could not be written
  pictures: tuple[str, ...]


class UnderWay(InputError):  # noqa: N818 as InputError, it is told and not traced
  """The same evaluation is being made by another process."""


class Kept(InputError):  # noqa: N818 likewise
  """The same evaluation has been made before, and its result is kept."""


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
  memory: int = 0,
  segment: int = 0,
  max_distance: int = 0,
  same_length: bool = False,
  given: Literal["data", "none"] = "data",
  order: str | None = None,
  positions_per_call: int = 1,
  entropy_budget: float = 0.0,
  blocks: tuple[int, ...] = (),
  num_calls: int | None = None,
  num_steps: int | None = None,
  correction: float = 0.0,
  temperature: float = 1.0,
  top_k: int | None = None,
  top_p: float = 1.0,
  forbid: str | Sequence[int] = "",
  pictures: bool = True,
  output: str | None = None,
  seed: int = 0,
  known: Container[str] = (),
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
    memory: positions of memory that a model of streams carries from segment to segment; the examples of a batch are so
      many streams that are read at the same time. 0 = each example stands alone.
    segment: with memory, positions that are read at a time; 0 = those of an example.
    max_distance: with memory, larger distances are taken for this one; 0 = none are.
    same_length: with memory, each position sees itself and as many before it as the memory has, and no more.
    given: whether a model with labels is given those of the data, or none.
    order: in which positions are drawn, see `sample`: the number is of samples by it (--estimator=order), exact.
    positions_per_call: with order, positions that are drawn together.
    entropy_budget: nats, with the order of this name.
    blocks: with the order of this name, positions of each call in turn, which add up to all of an example.
    num_calls: with the order blocks, in place of them: so many calls, among which the positions are shared out as the
      model's loss curve on the training split says.
    num_steps: of samples by so many moves of a diffusion model (--estimator=full); default: all its time steps.
    correction: of samples that correct themselves, see `sample`: a bound on their own likelihood (--estimator=full).
    temperature: with order, of each draw, and likewise top_k, top_p and forbid: the number is of samples that are
      restricted so. The run's own sampling does not count here.
    top_k: draws are among so many of the most probable categories.
    top_p: draws are among the most probable categories that together have so much probability.
    forbid: categories that are never drawn, as of `sample`.
    pictures: draw a few samples, where examples can be pictured, for a picture of them beside held-out ones.
    output: folder for results.json, scores/ and pictures; default: the work directory.
    seed: of the draws.
    known: evaluations that are not made again, each by the `request` of its record in results.json.
    say: receives lines about what is done.
    progress: opens the bar.

  Raises:
    InputError: the model lacks the estimator, the data are not there, or results could not be written to `output`.
    Kept: the evaluation is `known`.
    Stopped: a signal ended it.
  """
  folder, beside = run.workdir if output is None else expanded(output), ByProducts(say)
  distributed.first_does(lambda: _try_results(folder, output, say))
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
  restrictions = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "forbid": forbid}
  of_order = planned.of_order(run, order, positions_per_call, entropy_budget, blocks, num_calls)
  of_moves = {"num_steps": num_steps, "correction": correction}
  law = sample_options({"sampling": {}}, run.media, **of_order, **of_moves, **restrictions)
  if estimator is None and (order is not None or num_steps is not None or correction):
    settings["estimator"] = "full" if order is None else "order"
  source = run.source()
  protocol = results.Protocol(context, memory, segment, max_distance, same_length).checked()
  how = {**settings, "batch_size": run.spread.filled(settings["batch_size"]), **protocol._asdict(), "given": given}
  how["law"] = law
  scored_before = unfinished(run, {**how, "seed": seed}, folder)
  if scored_before.request in known:
    raise Kept(f"evaluated before, as {join(folder, results.FILE_NAME)} says")
  with _alone(scored_before, say):
    found = _measure(run, how, protocol, seed, scored_before, progress)
    result = results.likelihood_record(
      found,
      source,
      split=settings["split"],
      step=run.step,
      ema=run.uses_ema,
      config=run.record.config,
      invalid=_invalid(run, settings["invalid_samples"], seed),
      protocol=protocol,
      streams=how["batch_size"],
      history=history_of(run.record) | {"request": scored_before.request},
    )
    if (apart := table_density.density(source.codec, found, get_split(source, settings["split"]))) is not None:
      result[table_density.NAME] = results.without_nan(apart)
    say(shown(result, drawn=not _settled(run, found)))
    path = None
    with beside.may_fail("results"):
      path = distributed.first_tells(lambda: _keep(folder, result, found, scored_before)).decode()
  drawn: list[str] = []
  with beside.may_fail("pictures"):
    if jax.process_index() == 0:
      drawn += _draw_anatomy(run, found, settings["split"], folder)
  with beside.may_fail("pictures"):
    if pictures and run.media.pictured.beside is not None:
      drawn += _draw_beside_data(run, settings["split"], seed, folder, say)
      if drawn:
        writers.show_on_board(folder, run.step, drawn)
  with beside.may_fail("word to trackers"):
    if jax.process_index() == 0:
      tracking.later(folder, say, step=run.step, paths=drawn, result=result)
  return Evaluated(result, found, path, tuple(drawn))


def describe(evaluated: Evaluated) -> str:
  """Returns what an evaluation, which has shown its number itself, has left on the disk."""
  lines = [f"pictures: {', '.join(evaluated.pictures)}"] if evaluated.pictures else []
  return "\n".join([*lines, *([] if evaluated.path is None else [f"written to {evaluated.path}"])])


def _settled(run: Run, found: Likelihood) -> bool:
  """Returns whether draws change nothing, as where an exact model is asked for a bound."""
  nats = found.nats
  return run.model.log_prob is not None and len(nats) > 1 and bool((nats == nats[0]).all())


def shown(record: Mapping[str, Any], *, drawn: bool = True) -> str:
  """Returns a record of results.json, with its meaning, in a few lines: bits per position, their errors and terms.

  Args:
    record: of an evaluation.
    drawn: whether draws change the number of a bound; where they do not it is called exact.
  """
  rows = [
    [
      record["unit"],
      terminal.plus_minus(record["value"], record["data_error"]),
      f"standard error {results.error_over(consecutive=record.get('consecutive', False))}",
    ],
    [
      "",
      terminal.plus_minus(record["value"], record["monte_carlo_error"]),
      "standard error of the estimate (Monte Carlo)",
    ],
    *[[f"  {name}", _shown(value), "term"] for name, value in record["terms"].items()],
  ]
  heading = (
    f"{record['split']} split, step {record['step']}{', averaged parameters' if record['ema'] else ''}:"
    f" {_meaning(record, drawn)}, {terminal.counted(record['num_draws'], 'draw')}"
    f", {terminal.counted(record['num_replicates'], 'replicate')},"
    f" {record['num_examples']:,} examples"
    + (f", {record['protocol']}" if results.reads_before(record) else "")
    + (f", labels given: {record['given']}" if "given" in record else "")
  )
  notes = [table_density.said(record[table_density.NAME])] if table_density.NAME in record else []
  notes += [f"warning: {line}" for line in record["warnings"]]
  if (invalid := record["invalid"]) is not None:
    error = None if invalid["error"] is None else 100 * invalid["error"]
    notes.append(
      f"codes that mean no category: {terminal.plus_minus(100 * invalid['positions'], error, 2)}% of the positions "
      f"and {invalid['examples']:.0%} of the examples, in {invalid['num_samples']} samples"
    )
  return "\n".join([heading, terminal.table(["unit", "value", "meaning"], rows), *notes])


def _meaning(record: Mapping[str, Any], drawn: bool) -> str:
  law = orders.of_record(record)
  if not drawn and record["estimator"] not in estimators.EXACT:
    return f"{_MEANINGS['exact']} ({record['estimator']}, which no draw changes)"
  return f"{_MEANINGS[record['estimator']]}{f' {orders.named(law)}' if law else ''}"


def _shown(value: float | None) -> str:
  return "?" if value is None else f"{round(value, 4) + 0.0:.4f}"


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


@contextmanager
def _alone(scored_before: Partial, say: Callable[[str], None]) -> Iterator[None]:
  """Refuses an evaluation that another process makes. Where nothing can be written, nobody can know."""
  with ExitStack() as stack:

    def hold() -> bytes:
      folder, name = parent_of(scored_before.path), name_of(scored_before.path)
      try:
        stack.enter_context(lock.held(folder, say, file_name=f"{name}.lock"))
      except InUse as error:
        return str(error.by).encode()
      except InputError:
        pass
      return b""

    if owner := distributed.first_tells(hold).decode():
      raise UnderWay(f"the same evaluation is under way in {owner}; wait for it, or change what is evaluated")
    yield


def _measure(
  run: Run,
  how: Mapping[str, Any],
  protocol: results.Protocol,
  seed: int,
  scored_before: Partial,
  progress: OpenProgress,
) -> Likelihood:
  """Returns the likelihood, going on from the batches that were scored before, unless memory is carried."""
  carried = None
  if protocol.memory:
    options = ReadOptions(protocol.max_distance or None, protocol.same_length)
    carried = estimators.Carried(protocol.memory, options)
  done, keep = ([], _forget) if carried else (scored_before.load(), scored_before.keep)
  size, limit, segment = how["batch_size"], how["max_examples"], protocol.segment if carried else None
  batches = evaluation_batches(run.source(), how["split"], size, limit, protocol.context, segment)
  title = f"evaluate step {run.step}"
  with catch_signals() as request, closing(progress(len(batches), unit="batch", title=title, done=len(done))) as bar:
    stop = distributed.Stop(run.spread.mesh, lambda: request.signal or 0)

    def advance(share: float) -> None:
      bar.update(share)
      if stop():
        raise Stopped("", stop.exit_code)

    try:
      return likelihood.evaluate(
        run.model,
        run.params,
        run.state,
        batches,
        key=root_key(seed),
        estimator=how["estimator"],
        num_draws=how["num_draws"],
        num_replicates=how["num_replicates"],
        draws_at_once=how["draws_at_once"],
        given=how["given"],
        carried=carried,
        law=how["law"],
        consecutive=get_split(run.source(), how["split"]).consecutive,
        spread=run.spread,
        progress=advance,
        done=done,
        keep=keep,
      )
    except Stopped as left:
      if carried:
        raise Stopped("stopped; the same command begins again, since a memory is not kept", left.code) from left
      number = len(scored_before.parts)
      kept = scored_before.write() or not number
      comfort = "the same command goes on" if kept else "what was scored could not be kept"
      raise Stopped(f"stopped after {number} of {len(batches)} batches; {comfort}", left.code) from left


def _forget(parts: Sequence[likelihood.Part]) -> None:
  """Keeps nothing of what is scored."""


def _keep(folder: str, result: Mapping[str, Any], found: Likelihood, scored_before: Partial) -> bytes:
  """Writes results.json and the scores of single examples, and returns the path of the former."""
  results.save_scores(folder, result, found)
  path = results.add_results(folder, result)
  scored_before.remove()  # not before: whatever ends it until then costs no batch
  return str(path).encode()


def _invalid(run: Run, num_samples: int, seed: int) -> samples.Invalid | None:
  """Returns what of so many samples means no category, where the model has such codes."""
  if num_samples < 0:
    raise InputError(f"invalid_samples is {num_samples}; give a number of samples, or 0 for none")
  if run.model.latent is None or not run.model.latent.has_unused_codes or num_samples == 0:
    return None
  return samples.invalid_share(sample(run, num_samples=num_samples, pictures=False, seed=seed).valid)


def _draw_anatomy(run: Run, found: Likelihood, split: str, folder: str) -> Iterator[str]:
  if found.anatomy is not None:
    path = join(folder, f"anatomy_{split}.png")
    charts.bound_anatomy(found.anatomy.by_time, found.anatomy.by_position, path, position=run.record.position)
    yield path


def _draw_beside_data(run: Run, split: str, seed: int, folder: str, say: Callable[[str], None]) -> Iterator[str]:
  """Draws a few samples, pictures them beside held-out examples, and yields the picture's path."""
  assert run.media.pictured.beside is not None
  steps = run.record.config["sampling"]["num_steps"]
  how = "" if steps is None else f" in sampling.num_steps = {steps} network calls"
  say(f"drawing {_PICTURED} samples{how} for a picture (--pictures=false leaves it out)")
  drawn = run.sample(_PICTURED, seed=seed)  # on all processes
  if jax.process_index() > 0:
    return
  sets = {"held-out data": first_examples(run.source(), split, _PICTURED), "samples": batch_of(drawn.x, drawn.valid)}
  path = join(folder, f"samples_beside_{split}.png")
  run.media.pictured.beside(path, sets, title=f"Data and samples, step {run.step:,}")
  yield path
