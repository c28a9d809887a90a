"""Training: from a configuration to a work directory with checkpoints, records and pictures."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax

from catgen.data import summary
from catgen.evaluation import likelihood
from catgen.evaluation.samples import generate
from catgen.interfaces import Batch, InputError, PyTree
from catgen.media import Media, media_of
from catgen.reporting import charts, writers
from catgen.reporting.progress import OpenProgress, no_progress, train_progress
from catgen.runs.experiment import Experiment, batches, evaluation_batches, make_experiment
from catgen.runs.record import record_of, write_record
from catgen.runs.sample import sample_options
from catgen.training import distributed, loop, sharding
from catgen.training.checkpoint import Checkpointer

_LOSS_CURVE, _SAMPLES = "loss_curve.png", "validation_samples.png"


class Trained(NamedTuple):
  """How a training run ended."""

  workdir: str
  step: int
  interrupted: bool  # by a signal; the same call goes on
  exit_code: int  # 0, or 128 + the number of the signal
  pictures: tuple[str, ...]


def train(
  config: Mapping[str, Any],
  workdir: str,
  baselines: Mapping[str, float] | None = None,
  devices: Sequence[jax.Device] | None = None,
  *,
  say: Callable[[str], None] = print,
  progress: OpenProgress = no_progress,
) -> Trained:
  """Trains, or goes on training, in a work directory.

  Args:
    config: resolved.
    workdir: what was there before must be of the same run.
    baselines: lines in the loss curve, name -> bits per position.
    devices: to train on; default: all there are.
    say: receives lines about what is done; of several processes the first speaks.
    progress: opens the bar.

  Raises:
    InputError: anything that does not fit, by name; or the training failed, with what to do.
  """
  first = jax.process_index() == 0
  say = say if first else _quiet
  made = make_experiment(config, devices=devices)
  say(summary(made.source))
  write_record(workdir, record_of(config, made.source), write=first)
  settings, keep = config["training"], config["checkpoint"]
  with Checkpointer(workdir, keep_latest=keep["keep_latest"], keep_every=keep["keep_every"], say=say) as checkpoints:
    restored = checkpoints.restore(made.target)
    state = made.init() if restored is None else restored
    start = int(state.step)
    say(f"training {workdir} from step {start} to {settings['num_steps']} on {made.mesh.size} device(s)")
    sink = writers.open_writers(workdir, start) if first else writers.no_writers()
    try:
      result = loop.train(
        state=state,
        train_step=made.train_step,
        batches=batches(made, start),
        key=made.key,
        num_steps=settings["num_steps"],
        mesh=made.mesh,
        workdir=workdir,
        checkpoints=checkpoints,
        periods=loop.Periods(settings["report_every"], settings["validate_every"], keep["every"]),
        hooks=_hooks(made, workdir, start, sink, progress if first else no_progress),
      )
    finally:
      sink.close()
  pictures = draw_loss_curve(workdir, made.source.position, baselines) if first else ()
  return Trained(workdir, result.step, result.interrupted, result.exit_code, pictures)


def join_and_train(
  config: Mapping[str, Any],
  workdir: str,
  *,
  coordinator: str | None = None,
  process_id: int | None = None,
  num_processes: int | None = None,
  say: Callable[[str], None] = print,
  progress: OpenProgress = no_progress,
) -> Trained:
  """Joins the processes of a run, before anything uses a device, and trains.

  Where one of them is silent for 10 seconds, the others end: see `distributed.initialize`.

  Args:
    config, workdir: see `train`.
    coordinator: host:port of process 0, where several processes train.
    process_id: number of this process, from 0.
    num_processes: number of processes.
    say: receives lines about what is done; of several processes the first speaks.
    progress: opens the bar.
  """
  distributed.initialize(coordinator, process_id, num_processes)
  return train(config, workdir, say=say, progress=progress)


def describe(trained: Trained) -> str:
  """Returns how a training run ended, and at which step, in a line."""
  verb = "stopped; the same command goes on" if trained.interrupted else "done"
  return f"{verb} at step {trained.step}: {trained.workdir}"


def make_validation(experiment: Experiment) -> Callable[[PyTree, PyTree, int], dict[str, float]] | None:
  """Returns (params, model_state, step) -> {"bits", ...} on the validation split; None where there is no such split.

  The draws are the same every time, so that differences between steps are paired.
  """
  if "validation" not in experiment.source.splits:
    return None
  config = experiment.config
  size, limit = config["evaluation"]["batch_size"], config["training"]["validation_examples"]
  walk = partial(evaluation_batches, experiment.source, "validation", size, limit)
  key = jax.random.fold_in(jax.random.key(config["seed"]), 2)

  def validate(params: PyTree, model_state: PyTree, step: int) -> dict[str, float]:
    result = likelihood.evaluate(
      experiment.model,
      params,
      model_state,
      walk(),
      key=key,
      num_replicates=1,
      place=partial(sharding.place, mesh=experiment.mesh),
    )
    terms = {f"terms/{name}": value for name, value in result.terms.items()}
    return {"bits": result.estimate.bits, "data_error": result.estimate.data_error, **terms}

  return validate


def make_sampler(experiment: Experiment) -> Callable[[PyTree, PyTree], Batch] | None:
  """Returns (params, model_state) -> `training.validation_samples` samples; None where it is 0.

  They are drawn with the same keys every time, so that pictures of different steps can be compared.

  Raises:
    InputError: there is no picture of such examples, there is no validation, or `sampling` has an option that the
      model cannot honour.
  """
  config, model, target = experiment.config, experiment.model, experiment.target
  number = config["training"]["validation_samples"]
  if number == 0:
    return None
  reason = None if "validation" in experiment.source.splits else "the data have no split 'validation'"
  if _media(experiment).pictured.samples is None:
    reason = f"examples are {_media(experiment).name} of shape {model.event.shape}, of which there are no pictures"
  if reason:
    raise InputError(f"config.training.validation_samples is {number}, but {reason}; set it to 0")
  options = sample_options(config)
  key = jax.random.fold_in(jax.random.key(config["seed"]), 3)
  draw = partial(model.sample, options=options)
  jax.eval_shape(lambda params, state: draw(params, key[None], state=state), target.params, target.model_state)

  def sample(params: PyTree, model_state: PyTree) -> Batch:
    size = config["sampling"]["batch_size"]
    drawn = generate(model, params, model_state, num_samples=number, batch_size=size, key=key, options=options)
    x, valid = likelihood.fetch((drawn.x, drawn.valid))
    return Batch(x, valid, jax.numpy.arange(number))

  return sample


def draw_loss_curve(workdir: str, position: str, baselines: Mapping[str, float] | None = None) -> tuple[str, ...]:
  """Draws the loss curve of a work directory, in bits, and returns its path; nothing where there are no losses yet."""
  metrics, picture = os.path.join(workdir, writers.FILE_NAME), os.path.join(workdir, _LOSS_CURVE)
  if not any("train/bits" in record for record in writers.read_metrics(metrics)):
    return ()
  charts.loss_curve(metrics, picture, position=position, baselines=baselines)
  return (picture,)


def _hooks(
  made: Experiment,
  workdir: str,
  start: int,
  sink: writers.Writers,
  open_progress: OpenProgress,
) -> loop.Hooks:
  """Returns what the loop calls."""
  num_steps, position = made.config["training"]["num_steps"], made.source.position
  validate, draw = make_validation(made), make_sampler(made)
  show = train_progress(num_steps, start_step=start, position=position, open_progress=open_progress)

  def report(step: int, metrics: dict[str, float]) -> None:
    sink.write(step, {f"train/{name}": value for name, value in metrics.items()})
    show(step, metrics)

  def validate_and_write(params: PyTree, model_state: PyTree, step: int) -> dict[str, float]:
    metrics = validate(params, model_state, step) if validate else {}
    sink.write(step, {f"validation/{name}": value for name, value in metrics.items()})
    if draw:
      samples = draw(params, model_state)  # on all processes
      if jax.process_index() == 0:
        _picture(_media(made), workdir, samples, step)
    return metrics

  return loop.Hooks(report, validate_and_write if validate else None)


def _picture(media: Media, workdir: str, samples: Batch, step: int) -> None:
  assert media.pictured.samples is not None
  path = os.path.join(workdir, _SAMPLES)
  media.pictured.samples(path, samples, title=f"samples, step {step:,}")
  writers.show_pictures(workdir, step, [path])


def _media(made: Experiment) -> Media:
  return media_of(made.source.event, made.source.codec, made.source.position)


def _quiet(line: str) -> None:
  """Says nothing."""
