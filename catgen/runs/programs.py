"""The programs that a configuration makes, traced from shapes alone: a training step, an evaluator, a sampler."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import jax
import numpy as np

from catgen.evaluation import estimators, samples
from catgen.interfaces import PyTree
from catgen.media import media_of
from catgen.runs.experiment import Experiment, spread_of
from catgen.runs.sample import sample_options
from catgen.training import sharding

Name = Literal["train", "evaluate", "sample"]
NAMES: tuple[Name, ...] = get_args(Name)


class Program(NamedTuple):
  """A program that is traced and not compiled yet, with what it works on: shapes and shardings."""

  traced: Any  # a `jax.stages.Traced`
  params: PyTree
  state: PyTree  # all that it works with: of a step the whole state of training
  batch: PyTree
  batch_size: int
  meaning: str  # what one run of it does
  passes: int | None  # see `findings.Placed`
  updates: int = 0  # likewise


def trace(made: Experiment, name: Name) -> Program:
  """Returns a program of an experiment, for the devices of its mesh.

  Args:
    made: from `make_experiment`.
    name: a training step; the call of the evaluator that scores a batch (of `evaluation` in the configuration), on
      parameters spread as in training; the sampler of a batch (of `sampling`), likewise.
  """
  return {"train": _train, "evaluate": _evaluate, "sample": _sample}[name](made)


def _train(made: Experiment) -> Program:
  batch, settings = sharding.placed_shapes(made.example, made.mesh), made.config["training"]
  step: Any = made.train_step
  traced = step.trace(made.target, batch, made.key)
  size, pieces = settings["batch_size"], settings["num_microbatches"]
  updates = 2 if made.config["optimizer"]["kind"] == "muon" else 0  # whole matrices are collected and sent back
  meaning = f"a training step of {size} examples"
  return Program(traced, made.target.params, made.target, batch, size, meaning, pieces, updates)


def _evaluate(made: Experiment) -> Program:
  settings = made.config["evaluation"]
  estimator = settings["estimator"] or estimators.default_estimator(made.model)
  estimators.check_estimator(made.model, estimator)
  size, trained = _for_devices(settings["batch_size"], made), sharding.placed_shapes(made.example, made.mesh)
  batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype, sharding=x.sharding), trained)
  together = estimators.draws_together(settings["num_draws"], settings["draws_at_once"])
  draws, number = np.arange(together, dtype=np.int32), np.int32(settings["num_draws"])
  params, state = _weights(made), made.target.model_state
  draw: Any = estimators.compiled(made.model, estimator, together)
  traced = draw.trace(params, state, batch, made.key, draws, number)
  meaning = f'{together} draw{"s" * (together > 1)} of "{estimator}" for {size} examples'
  return Program(traced, params, (params, state), batch, size, meaning, None)


def _sample(made: Experiment) -> Program:
  size, event = _for_devices(made.config["sampling"]["batch_size"], made), made.source.event
  options = sample_options(made.config, media_of(event, made.source.codec, made.source.position))
  keys = jax.ShapeDtypeStruct((size,), made.key.dtype, sharding=sharding.batch_sharding(made.mesh))
  params, state = _weights(made), made.target.model_state
  draw: Any = samples.compiled(made.model, options)
  traced = draw.trace(params, keys, None, state)
  return Program(traced, params, (params, state), (), size, f"the draw of {size} samples", None)


def _weights(made: Experiment) -> PyTree:
  """Returns the parameters that a trained model is used with."""
  return made.target.params if made.target.ema is None else made.target.ema


def _for_devices(size: int, made: Experiment) -> int:
  """Returns the size of a batch, filled up so that all devices have equal parts."""
  return spread_of(made.mesh).filled(size)


def network_dtype(section: Mapping[str, Any]) -> str:
  """Returns the dtype that a model's section of a configuration asks of its networks, the narrowest of several."""
  found = [value for key, value in section.items() if key == "dtype" and isinstance(value, str)]
  found += [network_dtype(value) for value in section.values() if isinstance(value, Mapping)]
  return "bfloat16" if "bfloat16" in found else "float32"
