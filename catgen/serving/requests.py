"""From what a client sends to jobs, and from what these tell to an answer. Nothing here waits for a device."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from catgen.evaluation import estimators, spelling
from catgen.interfaces import InputError, SampleOptions
from catgen.orders import named, stated
from catgen.runs.infill import explained
from catgen.runs.load import Run
from catgen.runs.record import numbers_of, with_labels
from catgen.runs.sample import explained_guidance, sample_options
from catgen.serving import performing
from catgen.serving.performing import Draw
from catgen.serving.served import Served, batch_from, corrections, pattern_from
from catgen.serving.worker import Job, Told

Tell = Callable[[int, Told], None]  # (number of the job, what it tells)


class Asked(NamedTuple):
  """A request that fits: its jobs, and (what each has told as the last) -> the answer."""

  jobs: list[Job]
  answer: Callable[[Sequence[Any]], dict[str, Any]]


def asked(name: str, models: Mapping[str, Served], values: Mapping[str, Any], tell: Tell) -> Asked:
  """Returns the jobs of a request.

  Args:
    name: of the endpoint.
    models: by name.
    values: of its fields, as `fields.checked` returns them.
    tell: see `worker.Job`, with the number of the job before it.

  Raises:
    InputError: it asks for what the model does not have, or an example does not fit it.
  """
  makers = {"sample": _sample, "infill": _infill, "correct": _correct, "score": _score, "compare": _compare}
  return makers[name](models, values, tell)


def _model(models: Mapping[str, Served], name: str | None) -> Served:
  found = next(iter(models.values())) if name is None else models.get(name)
  if found is None:
    raise InputError(f"there is no model {name!r}; the models are {', '.join(models)}")
  return found


def _options(model: Served, values: Mapping[str, Any]) -> SampleOptions:
  """Returns how to draw, checked as far as the model can without drawing."""
  names = ("num_steps", "temperature", "top_p", "guidance")
  options = sample_options(model.run.record.config, model.run.media, **{name: values[name] for name in names})
  if options.guidance != 1 and not values["labels"]:
    raise InputError("guidance says how strongly labels act, and none is given; leave it out, or give labels")
  if model.run.model.chain is not None and options.order is None:
    model.run.model.chain.num_moves(options)
  return options


def _sample(models: Mapping[str, Served], values: Mapping[str, Any], tell: Tell) -> Asked:
  model = _model(models, values["model"])
  return _draw(model, _options(model, values), values, tell, None)


def _infill(models: Mapping[str, Served], values: Mapping[str, Any], tell: Tell) -> Asked:
  model = _model(models, values["model"])
  options, pattern = _options(model, values), pattern_from(model, values["example"], values["hole"])
  return _draw(model, options, values, tell, pattern)


def _draw(model: Served, options: SampleOptions, values: Mapping[str, Any], tell: Tell, pattern: Any) -> Asked:
  given = numbers_of(model.run.record, values["labels"] or ())
  row = values["example"] if pattern is not None and model.kind == "row" else None
  content = Draw(values["num_samples"], values["seed"], given, pattern, values["stream"], row, values.get("hole", "_"))
  key = ("draw", model.name, options, values["num_states"], pattern is None, given is None)
  perform = partial(performing.draw, model, options, values["num_states"])
  job, started = Job(key, content.number, content, perform, partial(tell, 0)), time.monotonic()
  law = _law(model.run, options) if pattern is None else f"completions are {explained(model.run, options)}"

  def answer(told: Sequence[Any]) -> dict[str, Any]:
    return {"model": model.name, "examples": told[0], "law": law, "seconds": _since(started)}

  return Asked([job], answer)


def _law(run: Run, options: SampleOptions) -> str:
  """Returns in a sentence what samples follow; all the moves that a model has are its own."""
  drawn, otherwise = "drawn", "drawn from the model's own p(x)"
  if run.model.chain is not None and options.num_steps is not None:
    number, own = (run.model.chain.num_moves(each) for each in (options, options._replace(num_steps=None)))
    options = options._replace(num_steps=None)
    if number < own:
      drawn = f"drawn in {number:,} of {own:,} steps"
      otherwise = f"{drawn}: a faster approximation of the model"
    elif number > own:
      drawn = otherwise = f"drawn in {number:,} steps"
  changed = named(stated(options))
  told = f"{drawn} with {changed}: not the model's own p(x)" if changed else otherwise
  return explained_guidance(options) or told


def _correct(models: Mapping[str, Served], values: Mapping[str, Any], tell: Tell) -> Asked:
  model, started = _model(models, values["model"]), time.monotonic()
  method, rate = spelling.chosen(model.run.model, values["method"])[0], values["error_rate"]
  if method not in corrections(model.run):
    raise InputError(f"method {method!r} of a model with a denoiser takes too long here; run launch.denoise")
  spelling.check_error_rate(rate, model.run.record.event.num_classes)
  batch = with_labels(batch_from(model, [values["example"]]), model.run.record, values["labels"] or ())
  key, rows = ("correct", model.name, method, rate, batch.given is None), spelling.BEAM if method == "channel" else 1
  job = Job(key, rows, batch, partial(performing.correct, model, method, rate), partial(tell, 0))

  def answer(told: Sequence[Any]) -> dict[str, Any]:
    found = performing.kept(values["example"], told[0]) if model.kind == "row" else told[0]
    return {"model": model.name, **found, "seconds": _since(started)}

  return Asked([job], answer)


def _score(models: Mapping[str, Served], values: Mapping[str, Any], tell: Tell) -> Asked:
  model, started = _model(models, values["model"]), time.monotonic()
  job = _scoring(model, values, values["estimator"], partial(tell, 0))

  def answer(told: Sequence[Any]) -> dict[str, Any]:
    return {
      "model": model.name,
      **performing.scores_of(model, *told[0], consecutive=values["consecutive"]),
      "seconds": _since(started),
    }

  return Asked([job], answer)


def _scoring(model: Served, values: Mapping[str, Any], estimator: str | None, tell: Callable[[Told], None]) -> Job:
  estimator = estimators.default_estimator(model.run.model) if estimator is None else estimator
  estimators.check_estimator(model.run.model, estimator)
  if estimator not in estimators.ONE_CALL:
    raise InputError(f"estimator {estimator!r} takes too long here; run launch.score")
  batch = with_labels(batch_from(model, values["examples"]), model.run.record, values["labels"] or ())
  num_draws, seed = (1, 0) if estimator == "exact" else (values["num_draws"], values["seed"])
  key = ("score", model.name, estimator, num_draws, seed, batch.given is None)
  perform = partial(performing.score, model, estimator, num_draws, seed)
  return Job(key, len(batch.x), batch, perform, tell)


def _compare(models: Mapping[str, Served], values: Mapping[str, Any], tell: Tell) -> Asked:
  names = values["models"] or list(models)[:2]
  if len(names) < 2:
    raise InputError("one model is served; start catgen serve with two, --workdir=runs/a,runs/b")
  pair, started = [_model(models, name) for name in names], time.monotonic()
  jobs = []
  for number, model in enumerate(pair):
    try:
      jobs.append(_scoring(model, values, None, partial(tell, number)))
    except InputError as error:
      raise InputError(f"{model.name}: {error}") from error
  first, second = ([int(valid.sum()) for valid in job.content.valid] for job in jobs)
  if first != second or len({model.run.record.position for model in pair}) > 1:
    raise InputError("the two models count positions differently, so that bits per position cannot be compared")

  def answer(told: Sequence[Any]) -> dict[str, Any]:
    pieces = values["consecutive"]
    each = [performing.scores_of(model, *own, consecutive=pieces) for model, own in zip(pair, told, strict=True)]
    difference = performing.difference_of(*told, consecutive=pieces)
    return {"models": names, "first": each[0], "second": each[1], "difference": difference, "seconds": _since(started)}

  return Asked(jobs, answer)


def _since(started: float) -> float:
  return round(time.monotonic() - started, 3)
