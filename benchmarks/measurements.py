"""What `benchmarks.accelerator` measures: training steps, draws, comparisons."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

import jax
import numpy as np

from benchmarks import sampling
from benchmarks.budget import Measurement, Row, steady
from benchmarks.subjects import Dtype, experiment_of
from benchmarks.transcription.comparison import by_turns, task_of
from catgen.interfaces import InputError, SampleOptions
from catgen.kernels import attention
from catgen.runs.experiment import Experiment
from catgen.training.compiled import peak_of
from catgen.training.dry_run import flops_by_dtype
from catgen.training.sharding import place
from catgen.training.state import TrainState

_LONG_SECONDS = 4.0


class Timing(NamedTuple):
  """How long is measured."""

  window: float  # seconds of steps that are started one after another
  repeats: int  # windows, of which the median counts
  rates: dict[str, float]  # the measured peak of each dtype, FLOPs a second; filled by the first measurement


class Subject(NamedTuple):
  """A configuration of `benchmarks.subjects`, made to be measured."""

  name: str
  dtype: Dtype
  batch_size: int
  changes: Mapping[str, Any] = {}

  def make(self) -> Experiment:
    """Returns the experiment, on random categories."""
    return experiment_of(self.name, batch_size=self.batch_size, dtype=self.dtype, changes=self.changes)

  def shape(self, made: Experiment) -> str:
    """Returns the shape of a batch in words."""
    return " x ".join(map(str, made.example.x.shape))


class Program(NamedTuple):
  """A step that was compiled, with what it needs."""

  made: Experiment
  state: TrainState
  step: Any
  flops: float
  peak_bytes: int
  seconds: float  # of compiling


def traced_step(made: Experiment) -> tuple[Experiment, Any]:
  """Returns an experiment with its traced training step."""
  return made, made.train_step.trace(made.target, place(made.example, made.mesh), made.key)


def compiled_step(traced: tuple[Experiment, Any]) -> Program:
  """Returns the training step compiled, and a state to start from."""
  made, program = traced
  step, seconds = sampling.compiled(program)
  flops = sum(flops_by_dtype(program.jaxpr).values())
  peak = peak_of(step.memory_analysis())
  return Program(made, made.init(), step, flops, peak, seconds)


def step_row(name: str, program: Program, seconds: float, rate: float | None, note: str = "") -> Row:
  """Returns the row of a training step; rate: the peak that it is compared with, FLOPs a second."""
  return Row(
    name,
    seconds,
    program.made.example.x.size,
    program.flops,
    None if rate is None else program.flops / seconds / rate,
    program.peak_bytes,
    program.seconds,
    note,
  )


def training_step(
  subject: Subject,
  timing: Timing,
  *,
  fused: bool = True,
  then: Callable[[Program], Sequence[Row]] | None = None,
  least: float = 5.0,
) -> Measurement:
  """Measures whole training steps: draws, forward, backward, optimizer.

  Args:
    subject, timing: what, and how long.
    fused: False: attention by products, where it would have gone to a fused kernel.
    then: what else is measured of the compiled step.
    least: see `Measurement`.
  """
  name = f"train {subject.name} {subject.dtype}" + ("" if fused else ", attention not fused")

  def trace() -> tuple[Experiment, Any]:
    with contextlib.nullcontext() if fused else not_fused():
      return traced_step(subject.make())

  def measure(program: Program) -> list[Row]:
    metrics: list[Any] = []
    run, wait = stepping(program, metrics)
    seconds = float(np.median(steady(run, wait, window=timing.window, repeats=timing.repeats)))
    note = subject.shape(program.made) + (", NOT FINITE" if bool(metrics[-1]["non_finite"]) else "")
    more = then(program._replace(state=program.made.init())) if then else []  # a step gives its old state away
    return [step_row(name, program, seconds, timing.rates.get(subject.dtype), note), *more]

  return Measurement(name, trace, compiled_step, measure, least)


def stepping(program: Program, metrics: list[Any]) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
  """Returns what takes a step, and what waits for it; `metrics` holds those of the last one."""
  batch, state = place(program.made.example, program.made.mesh), program.state

  def run() -> Any:
    nonlocal state
    state, found = program.step(state, batch, program.made.key)
    metrics[:] = [found]
    return found

  return run, jax.block_until_ready


@contextlib.contextmanager
def not_fused() -> Iterator[None]:
  """Has attention be traced as products, as it is where there is no fused kernel. One thread may trace meanwhile."""
  with mock.patch.object(attention, "_cudnn_serves", return_value=False):
    yield


def beside_pytorch(subject: Subject, timing: Timing, least: float = 20.0) -> Measurement:
  """Measures training steps by turns with those of the PyTorch transcription; by themselves where it is missing."""
  name = f"train {subject.name} {subject.dtype}"

  def measure(program: Program) -> list[Row]:
    ours, shape, rate = stepping(program, []), subject.shape(program.made), timing.rates.get(subject.dtype)
    version: list[str] = []
    try:
      task = task_of(program.made, "training step")
      seconds, other = by_turns(ours, task, timing.repeats, timing.window, version.append)
    except InputError as error:  # not installed; no room on the device
      seconds = float(np.median(steady(*ours, window=timing.window, repeats=timing.repeats)))
      reason = f"left out: {str(error)[:80]}"
      return [step_row(name, program, seconds, rate, shape), Row("the same in plain PyTorch", note=reason)]
    plain = Row(
      "the same in plain PyTorch",
      other,
      program.made.example.x.size,
      program.flops,
      None if rate is None else program.flops / other / rate,
      note=f"torch {version[0]}; catgen is {other / seconds:.2f} times as fast",
    )
    return [step_row(name, program, seconds, rate, shape), plain]

  return Measurement(name, lambda: traced_step(subject.make()), compiled_step, measure, least)


def draws(
  subject: Subject, timing: Timing, steps: Sequence[int], batch_sizes: Sequence[int], *, left: Callable[[], float]
) -> list[Measurement]:
  """Measures whole draws, of each batch size fewest steps first; left: -> seconds, beyond which nothing is tried."""
  made: list[Experiment] = []
  states: list[TrainState] = []
  per_step: dict[int, float] = {}

  def measurement(batch_size: int, number: int) -> Measurement:
    name = f"sample {subject.name} {subject.dtype}, {number} steps"

    def trace() -> tuple[Any, bool]:
      first, made[:] = not made, made or [subject.make()]
      return sampling.traced(made[0], batch_size, SampleOptions(num_steps=number)), first

    def prepare(traced: tuple[Any, bool]) -> tuple[Any, float]:
      if traced[1]:
        states.append(made[0].init())
      return sampling.compiled(traced[0])

    def measure(prepared: tuple[Any, float]) -> list[Row]:
      program, compiling = prepared
      expected = per_step.get(batch_size, 0.0) * number
      if expected > left():
        return [Row(name, note=f"batch {batch_size}, left out: it would take {expected:.0f} s")]
      run = partial(program, states[0].params, states[0].model_state, sampling.keys_of(batch_size))
      seconds = _draw_seconds(run, expected, timing)
      per_step[batch_size] = seconds / number
      size, peak = batch_size * made[0].example.x[0].size, peak_of(program.memory_analysis())
      return [Row(name, seconds, size, peak_bytes=peak, compile_seconds=compiling, note=f"batch {batch_size}")]

    return Measurement(name, trace, prepare, measure)

  return [measurement(batch_size, number) for batch_size in batch_sizes for number in sorted(steps)]


def _draw_seconds(run: Callable[[], Any], expected: float, timing: Timing) -> float:
  """Returns the median seconds of a draw; a long one is made once."""
  if expected > _LONG_SECONDS:
    started = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - started
  return float(np.median(steady(run, jax.block_until_ready, window=timing.window, repeats=timing.repeats)))
