"""A configuration put together: data, model, mesh, compiled step. The configuration is read here and nowhere below."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Key

from catgen.config import make_model, make_source, make_training_optimizer, model_takes
from catgen.data import context_batches, get_split, prefetch, stream_batches, train_batch
from catgen.data.frequencies import frequencies_of
from catgen.data.pipeline import Walk
from catgen.data.touching import touching_of
from catgen.evaluation.estimators import check_estimator
from catgen.evaluation.spread import ALONE, Spread
from catgen.interfaces import Batch, InputError, Model
from catgen.keys import root_key
from catgen.meshes import BATCH_AXES
from catgen.records import shown_briefly
from catgen.sources import DataSource
from catgen.training import sharding
from catgen.training.state import TrainState
from catgen.training.step import abstract_state, make_init, make_train_step

_COUNTED = {"frequencies": frequencies_of, "touching": touching_of}  # fields of `EventSpec` that models ask for
_SPLITS = ("train", "validation", "test")
_LEAST: dict[str, dict[str, int]] = {  # of what is only met later, when steps have been taken
  "training": dict.fromkeys(
    ("num_steps", "prefetch", "skip_nonfinite", "report_every", "validate_every", "validation_examples"), 0
  ),
  "checkpoint": {"every": 0, "keep_every": 0},
  "evaluation": {
    **dict.fromkeys(("batch_size", "num_draws", "num_replicates", "draws_at_once"), 1),
    **dict.fromkeys(("max_examples", "invalid_samples"), 0),
  },
  "sampling": {"num_samples": 1, "batch_size": 1},
}


@shown_briefly
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
  key: Key[Array, ""]  # of the training steps


def make_experiment(
  config: Mapping[str, Any], source: DataSource | None = None, devices: Sequence[jax.Device] | None = None
) -> Experiment:
  """Returns the experiment of a resolved config; `source` replaces the data set that it names, `devices` all there are.

  Raises:
    InputError: anything in the config that does not fit, by name.
  """
  _check_counts(config)
  source = _asked(config, make_source(config["data"]) if source is None else source)
  model = model_for(config, source)
  _check_evaluation(config["evaluation"], source, model)
  optimizer, learning_rate = make_training_optimizer(config)
  settings = config["training"]
  mesh = sharding.make_mesh(**config["mesh"], devices=devices)
  sharding.check_batch_size(settings["batch_size"], mesh, settings["num_microbatches"])
  get_split(source, "train")
  root = root_key(config["seed"])
  example = _batch(config, source, 0)
  shapes = sharding.placed_shapes(example, mesh)
  target = abstract_state(model, optimizer, shapes, mesh=mesh, ema_decay=settings["ema_decay"])
  step = make_train_step(
    model,
    optimizer,
    learning_rate,
    target=target,
    num_microbatches=settings["num_microbatches"],
    hidden_given=settings["hidden_given"],
    ema_decay=settings["ema_decay"],
  )
  create = make_init(model, optimizer, target=target)

  def init() -> TrainState:
    return create(sharding.place(example, mesh), jax.random.fold_in(root, 0))

  return Experiment(config, source, model, mesh, target, init, step, example, jax.random.fold_in(root, 1))


def _check_counts(config: Mapping[str, Any]) -> None:
  """Raises InputError where a number is below the least that there can be."""
  for section, least in _LEAST.items():
    for key, number in least.items():
      if config[section][key] < number:
        raise InputError(f"config.{section}.{key} is {config[section][key]}; give {number} or more")


def _check_evaluation(settings: Mapping[str, Any], source: DataSource, model: Model) -> None:
  """Raises InputError for a split that no data have, or an estimator that the model lacks."""
  try:
    if settings["split"] not in _SPLITS:
      get_split(source, settings["split"])
    if settings["estimator"] is not None:
      check_estimator(model, settings["estimator"])
  except InputError as error:
    raise InputError(f"config.evaluation: {error}") from error


def _asked(config: Mapping[str, Any], source: DataSource) -> DataSource:
  """Returns a data set that says what the model asks of it beyond its shape, which is read from the training split."""
  event, asked = source.event, [name for name in _COUNTED if model_takes(config["model"], name)]
  counted: dict[str, Any] = {name: _COUNTED[name](get_split(source, "train"), event.num_classes) for name in asked}
  return source._replace(event=event._replace(**counted))


def model_for(config: Mapping[str, Any], source: DataSource) -> Model:
  """Returns the model that is trained on a data set: without masks where each example is whole; see `EventSpec`.

  `Run.model`, which also meets what users type, is the same with masks.
  """
  whole = all(split.whole for split in source.splits.values())
  return make_model(config["model"], source.event._replace(whole=whole))


def _batch(config: Mapping[str, Any], source: DataSource, step: int) -> Batch:
  settings = config["training"]
  return train_batch(
    source.splits["train"],
    seed=config["seed"],
    step=step,
    batch_size=settings["batch_size"],
    crops=settings["crops"],
    streams=settings["streams"],
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )


def batches(experiment: Experiment, start: int) -> Iterator[Batch]:
  """Yields this process's part of the batches of steps `start`, `start` + 1, ..., prepared ahead."""
  settings = experiment.config["training"]
  load = partial(_batch, experiment.config, experiment.source)
  return prefetch(load, start, settings["num_steps"], settings["prefetch"])


def spread_of(mesh: Mesh) -> Spread:
  """Returns how evaluation and samplers use the devices of a mesh: as training does, which examples are spread over."""
  return ALONE if mesh.size == 1 and jax.process_count() == 1 else Spread(mesh, BATCH_AXES)


def evaluation_batches(
  source: DataSource,
  split: str,
  batch_size: int,
  max_examples: int = 0,
  context: int = 0,
  segment: int | None = None,
) -> Walk:
  """Returns this process's part of one walk over a split.

  context: see `context_batches`; segment: see `stream_batches`, which are walked unless it is None.
  """
  how: dict[str, Any] = {
    "batch_size": batch_size,
    "process_index": jax.process_index(),
    "process_count": jax.process_count(),
    "limit": checked_limit(max_examples) or None,
  }
  if segment is not None:
    return stream_batches(get_split(source, split), segment=segment, **how)
  return context_batches(get_split(source, split), context=context, **how)


def checked_limit(number: int) -> int:
  """Returns how many examples to take at most, 0 meaning all; raises InputError where it is negative."""
  if number < 0:
    raise InputError(f"max_examples is {number}; give a number of examples, or 0 for all")
  return number


def first_examples(source: DataSource, split: str, number: int = 0) -> Batch:
  """Returns the first examples of a split, so many at most (0: all).

  Raises:
    InputError: there is no such split, or it is empty.
  """
  chosen = get_split(source, split)
  count = min(chosen.num_examples, checked_limit(number) or chosen.num_examples)
  if count == 0:
    raise InputError(f"the split {split!r} has no examples")
  return chosen.examples(np.arange(count))
