"""A configuration put together for training: data, model, mesh, compiled step. Shared by train, dry run and check."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from catgen import build
from catgen.data import eval_batches, get_split, prefetch, train_batch
from catgen.evaluation import likelihood
from catgen.evaluation.samples import generate
from catgen.interfaces import Batch, DataSource, InputError, Model, PyTree
from catgen.training import sharding
from catgen.training.state import TrainState
from catgen.training.step import abstract_state, make_init, make_train_step


class Experiment(NamedTuple):
  """What training needs. Nothing has been initialized yet."""

  config: Mapping[str, Any]
  source: DataSource
  model: Model
  mesh: Mesh
  target: TrainState  # shapes and shardings
  init: Callable  # () -> TrainState
  train_step: Callable
  example: Batch  # the first global batch, this process's part
  key: jax.Array  # of the training steps


def make_experiment(
  config: Mapping[str, Any], source: DataSource | None = None, devices: Sequence[jax.Device] | None = None
) -> Experiment:
  """Returns the experiment of a resolved config; `source` replaces the data set that it names, `devices` all there are.

  Raises:
    InputError: anything in the config that does not fit, by name.
  """
  source = build.make_source(config["data"]) if source is None else source
  model = build.make_model(config["model"], source.event)
  optimizer, learning_rate = build.make_training_optimizer(config)
  settings = config["training"]
  mesh = sharding.make_mesh(**config["mesh"], devices=devices)
  sharding.check_batch_size(settings["batch_size"], mesh, settings["num_microbatches"])
  get_split(source, "train")
  root = jax.random.key(config["seed"])
  example = _batch(config, source, 0)
  placed = sharding.place(example, mesh)
  target = abstract_state(model, optimizer, placed, mesh=mesh, ema_decay=settings["ema_decay"])
  step = make_train_step(
    model,
    optimizer,
    learning_rate,
    target=target,
    num_microbatches=settings["num_microbatches"],
    ema_decay=settings["ema_decay"],
  )
  init = partial(make_init(model, optimizer, target=target), placed, jax.random.fold_in(root, 0))
  return Experiment(config, source, model, mesh, target, init, step, example, jax.random.fold_in(root, 1))


def _batch(config: Mapping[str, Any], source: DataSource, step: int) -> Batch:
  settings = config["training"]
  return train_batch(
    source.splits["train"],
    seed=config["seed"],
    step=step,
    batch_size=settings["batch_size"],
    crops=settings["crops"],
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )


def batches(experiment: Experiment, start: int) -> Iterator[Batch]:
  """Yields this process's part of the batches of steps `start`, `start` + 1, ..., prepared ahead."""
  settings = experiment.config["training"]
  load = partial(_batch, experiment.config, experiment.source)
  return prefetch(load, start, settings["num_steps"], settings["prefetch"])


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


def make_sampler(experiment: Experiment) -> Callable[[PyTree, PyTree], np.ndarray] | None:
  """Returns (params, model_state) -> `training.validation_samples` maps, -1 = no category; None where it is 0.

  They are drawn with the same keys every time, so that pictures of different steps can be compared.

  Raises:
    InputError: examples are no maps, there is no validation, or `sampling` has an option that the model cannot honour.
  """
  config, model, target = experiment.config, experiment.model, experiment.target
  number = config["training"]["validation_samples"]
  if number == 0:
    return None
  reason = None if "validation" in experiment.source.splits else "the data have no split 'validation'"
  reason = f"examples have shape {model.event.shape} and are no maps" if len(model.event.shape) != 2 else reason
  if reason:
    raise InputError(f"config.training.validation_samples is {number}, but {reason}; set it to 0")
  options = build.sample_options(build.record_of(config, experiment.source))
  key = jax.random.fold_in(jax.random.key(config["seed"]), 3)
  draw = partial(model.sample, options=options)
  jax.eval_shape(lambda params, state: draw(params, key[None], state=state), target.params, target.model_state)

  def sample(params: PyTree, model_state: PyTree) -> np.ndarray:
    size = config["sampling"]["batch_size"]
    drawn = generate(model, params, model_state, num_samples=number, batch_size=size, key=key, options=options)
    x, valid = likelihood.fetch((drawn.x, drawn.valid))
    return np.where(valid, x, -1)

  return sample


def evaluation_batches(source: DataSource, split: str, batch_size: int, max_examples: int = 0) -> Iterator[Batch]:
  """Returns this process's part of one walk over a split."""
  return eval_batches(
    get_split(source, split),
    batch_size=batch_size,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
    limit=max_examples or None,
  )


def examples_of(source: DataSource, split: str, max_examples: int = 0) -> Batch:
  """Returns the first examples of a split as one batch."""
  chosen = get_split(source, split)
  count = min(chosen.num_examples, max_examples or chosen.num_examples)
  if count == 0:
    raise InputError(f"the split {split!r} has no examples")
  return chosen.examples(np.arange(count))
