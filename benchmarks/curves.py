"""A short training on a text: bits by step, and at the end on characters that were held out."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import sampling
from benchmarks.budget import Measurement, Row
from benchmarks.measurements import Subject
from benchmarks.subjects import experiment_of
from catgen.bounds import bits_per_position
from catgen.config import make_source
from catgen.evaluation import likelihood
from catgen.evaluation.likelihood import Likelihood
from catgen.keys import root_key
from catgen.reporting import charts
from catgen.runs.experiment import Experiment, batches, evaluation_batches
from catgen.sources import DataSource
from catgen.training.sharding import place
from catgen.training.state import TrainState

_AHEAD = 2  # steps that are started before an earlier one has ended


class Curve(NamedTuple):
  """One training."""

  name: str
  bits: list[float]  # of each step, per position
  held_out: float
  error: float  # standard error over examples
  seconds: float


class Length(NamedTuple):
  """How long is trained."""

  seconds: float
  step_seconds: Callable[[], float | None]  # -> of a step, measured before; None where it was not
  most_steps: int
  examples: int  # that are held out


class Prepared(NamedTuple):
  """What a training needs, compiled."""

  made: Experiment
  step: Any
  state: TrainState
  num_steps: int
  compile_seconds: float


def text_source(path: str | None, length: int) -> DataSource:
  """Returns a text as sequences, a twentieth of which is the test; without a path the documentation inside Python.

  Args:
    path: of a text, which may be packed as .xz, .gz or .bz2, or of categories, .npy.
    length: positions of a sequence.
  """
  if path is None:
    return make_source({"kind": "stdlib_docs", "length": length})
  kind = "array_file" if path.endswith(".npy") else "text_file"
  return make_source({"kind": kind, "path": path, "length": length})


def training_curve(
  subject: Subject, source: DataSource, length: Length, keep: Callable[[Curve], None], least: float
) -> Measurement:
  """Trains for some seconds and evaluates the moving average of the parameters; `keep` receives the curve."""
  name = f"curve {subject.name} {subject.dtype}"

  def trace() -> tuple[Experiment, Any, int]:
    step_seconds = length.step_seconds()
    number = length.most_steps if step_seconds is None else min(length.most_steps, int(length.seconds / step_seconds))
    number = max(number, 4)
    schedule = {"training.num_steps": number, "optimizer.warmup_steps": max(1, number // 10)}
    made = experiment_of(
      subject.name,
      batch_size=subject.batch_size,
      dtype=subject.dtype,
      changes={**subject.changes, **schedule},
      source=source,
    )
    return made, made.train_step.trace(made.target, place(made.example, made.mesh), made.key), number

  def prepare(traced: tuple[Experiment, Any, int]) -> Prepared:
    made, program, number = traced
    step, seconds = sampling.compiled(program)
    state = made.init()
    evaluate(made, state, subject.batch_size)  # compiles
    return Prepared(made, step, state, number, seconds)

  def measure(prepared: Prepared) -> list[Row]:
    state, found, seconds = train(prepared, 2 * length.seconds)
    result = evaluate(prepared.made, state, length.examples).estimate
    keep(Curve(name, found, result.bits, result.data_error, seconds))
    held_out = f"{result.bits:.3f} +/- {result.data_error:.3f} bits held out"
    return [
      Row(
        name,
        seconds / len(found),
        prepared.made.example.x.size,
        compile_seconds=prepared.compile_seconds,
        note=f"{len(found)} steps of {subject.batch_size}: {held_out}",
      )
    ]

  return Measurement(name, trace, prepare, measure, least)


def train(prepared: Prepared, most_seconds: float) -> tuple[TrainState, list[float], float]:
  """Returns the last state, bits per position of each step, and the seconds of all; stops when the time is over."""
  made, state, metrics, waiting = prepared.made, prepared.state, [], deque()
  started = time.perf_counter()
  walk = batches(made, 0)
  for number, batch in enumerate(walk):
    if number == prepared.num_steps or time.perf_counter() - started > most_seconds:
      break
    state, told = prepared.step(state, place(batch, made.mesh), made.key)
    metrics.append((told["nats"], told["positions"]))
    waiting.append(told["nats"])
    if len(waiting) > _AHEAD:
      jax.block_until_ready(waiting.popleft())
  jax.block_until_ready(state.step)
  seconds = time.perf_counter() - started
  walk.close()
  found = [float(bits_per_position(-nats, positions)) for nats, positions in jax.device_get(metrics)]
  return state, found, seconds


def evaluate(made: Experiment, state: TrainState, examples: int) -> Likelihood:
  """Returns the bound on the first examples of the test split, with one draw for each."""
  params = state.params if state.ema is None else state.ema
  size = made.config["training"]["batch_size"]
  walk = evaluation_batches(made.source, "test", size, examples)
  return likelihood.evaluate(
    made.model,
    params,
    state.model_state,
    walk,
    key=root_key(1),
    estimator="elbo",
    num_replicates=1,
    consecutive=made.source.splits["test"].consecutive,
  )


def draw(found: Mapping[str, Curve], path: str) -> None:
  """Draws the curves, smoothed, with the bits that were held out as a point at the end of each."""
  figure, (axis,) = charts.new_figure(1, (7.0, 4.0))
  for color, curve in zip((charts.BLUE, charts.ORANGE, charts.GREEN), found.values(), strict=False):
    axis.plot(charts.smooth(np.array(curve.bits)), color=color, label=f"{curve.name}, {curve.seconds:.0f} s")
    axis.plot([len(curve.bits)], [curve.held_out], "o", color=color)
  axis.set(xlabel="step", ylabel="bits per character", title="training (smoothed), and held out at the end")
  axis.legend(loc="upper right")
  charts.save(figure, path)
