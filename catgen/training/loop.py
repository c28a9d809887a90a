"""The training loop: next batch, step, and on their periods report, validate, checkpoint.

Metrics are read one step late, when the next step is already under way, so that the device never waits for the host.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array

from catgen.bounds import bits_per_position
from catgen.files import replacing, write_text
from catgen.interfaces import Batch, InputError
from catgen.training.checkpoint import Checkpointer
from catgen.training.distributed import make_agreement
from catgen.training.sharding import place
from catgen.training.signals import StopRequest, catch_signals
from catgen.training.state import TrainState


class Periods(NamedTuple):
  """How often, in steps, something happens; 0 = never. Validation and checkpoints also come after the last step."""

  report: int = 100
  validate: int = 0
  checkpoint: int = 0  # besides one after each validation, so that the best can be kept, and one at the end


class Hooks(NamedTuple):
  """What the loop calls; the numbers of steps are of updates done."""

  # (step, {"bits", "terms/<name>", "grad_norm", "learning_rate", "positions_per_second"}): bits per position and means
  # since the last report; the throughput leaves out compilation, validation and the writing of checkpoints, and is
  # missing where nothing could be timed
  report: Callable[[int, dict[str, float]], None] | None = None
  # (params, or their moving average where there is one; model_state; step) -> {criterion: lower is better, ...}
  validate: Callable[[Any, Any, int], dict[str, float]] | None = None


class TrainResult(NamedTuple):
  """How a run ended. `exit_code` is 0, or 128 + the number of the signal: 143 for SIGTERM, 130 for Ctrl-C."""

  state: TrainState
  step: int
  interrupted: bool
  exit_code: int


class _Pending(NamedTuple):
  """A step that was started and whose metrics have not been read."""

  step: int
  batch: Batch
  metrics: dict[str, Any]
  stop: Any


def train(
  *,
  state: TrainState,
  train_step: Callable,
  batches: Iterator[Batch],
  key: Array,
  num_steps: int,
  mesh: Mesh,
  workdir: str | os.PathLike,
  checkpoints: Checkpointer | None = None,
  periods: Periods | None = None,
  hooks: Hooks | None = None,
) -> TrainResult:
  """Trains until `state.step` is `num_steps` and returns the state.

  SIGTERM or Ctrl-C ends it after the step in hand, with a checkpoint; a second one ends the process at once. Of several
  processes it is enough that one gets the signal: all stop after the same step.

  Args:
    state: the first one, or one that was restored; consumed.
    train_step: from `make_train_step`.
    batches: host batches of this process; the first is that of step `state.step`.
    key: of the run; the same whenever it is continued.
    num_steps: updates in the whole run.
    mesh: see `make_mesh`.
    workdir: where evidence goes if a loss is not finite.
    checkpoints: None = none are written.
    periods, hooks: see there; None = their defaults.

  Raises:
    InputError: a loss or gradient was not finite; its batch, key and the state before it are in `workdir/nonfinite`.
      Or the batches ran out, or a checkpoint could not be written.
  """
  with catch_signals() as request:
    run = _Run(
      state, train_step, key, mesh, os.fspath(workdir), checkpoints, periods or Periods(), hooks or Hooks(), request
    )
    for step in range(int(state.step), num_steps):
      if run.stopping:
        break
      run.advance(step, batches)
      run.at_boundary(step + 1, last=step + 1 == num_steps)
    return run.finish(num_steps)


class _Run:
  """The state of a loop between steps."""

  def __init__(
    self,
    state: TrainState,
    train_step: Callable,
    key: Array,
    mesh: Mesh,
    workdir: str,
    checkpoints: Checkpointer | None,
    periods: Periods,
    hooks: Hooks,
    request: StopRequest,
  ):
    self.state, self.train_step, self.key, self.mesh = state, train_step, key, mesh
    self.workdir, self.checkpoints = workdir, checkpoints
    self.periods, self.hooks, self.request = periods, hooks, request
    self.step = int(state.step)
    self.pending: _Pending | None = None
    self.window = _Window()
    self.agree = make_agreement(mesh)
    self.stop_signal = 0

  @property
  def stopping(self) -> bool:
    if jax.process_count() == 1 and self.request.signal:
      self.stop_signal = self.request.signal
    return self.stop_signal > 0

  def advance(self, step: int, batches: Iterator[Batch]) -> None:
    """Starts a step, then reads the metrics of the one before."""
    batch = next(batches, None)
    if batch is None:
      raise InputError(f"the batches ended before step {step}; give an iterator that goes on to the last step")
    self.state, metrics = self.train_step(self.state, place(batch, self.mesh), self.key, step)
    started = _Pending(step, batch, metrics, self.agree(self.request.signal or 0))
    self.read()
    self.pending, self.step = started, step + 1

  def read(self) -> None:
    """Waits for the pending step, checks it, counts it and reports where that is due."""
    if self.pending is None:
      return
    pending, self.pending = self.pending, None
    metrics = jax.device_get(pending.metrics)
    if metrics["non_finite"]:
      self.fail(pending, metrics)
    self.stop_signal = max(self.stop_signal, int(pending.stop))
    self.window.add(metrics)
    if self.hooks.report and _due(pending.step + 1, self.periods.report):
      self.hooks.report(pending.step + 1, self.window.close())

  def at_boundary(self, done: int, last: bool) -> None:
    """Validates and saves where due; what a failed validation leaves is a checkpoint without its numbers."""
    validate = self.hooks.validate if _due(done, self.periods.validate) or last else None
    save = self.checkpoints is not None and (validate or last or _due(done, self.periods.checkpoint))
    if not validate and not save:
      return
    self.read()
    metrics = None
    if validate:
      state = self.state
      try:
        metrics = validate(state.params if state.ema is None else state.ema, state.model_state, done)
      except BaseException:
        if self.checkpoints is not None:
          self.checkpoints.save(done, state)
          self.checkpoints.wait()
        raise
    if self.checkpoints is not None:
      self.checkpoints.save(done, self.state, metrics)
    self.window.restart_clock()

  def finish(self, num_steps: int) -> TrainResult:
    """Reads what is pending, saves where the run was interrupted, and waits for the disk."""
    self.read()
    interrupted = self.stopping and self.step < num_steps
    if self.checkpoints is not None:
      if interrupted:
        self.checkpoints.save(self.step, self.state)
      self.checkpoints.wait()
    return TrainResult(self.state, self.step, interrupted, 128 + self.stop_signal if interrupted else 0)

  def fail(self, pending: _Pending, metrics: dict[str, Any]) -> None:
    """Keeps the evidence of a step that was not finite: the state is still the one before it."""
    if self.checkpoints is not None:
      self.checkpoints.wait()
    folder = os.path.join(self.workdir, "nonfinite", str(pending.step))
    process = jax.process_index()
    arrays = {name: array for name, array in pending.batch._asdict().items() if array is not None}
    with replacing(os.path.join(folder, f"batch-{process}.npz")) as file:
      np.savez(file, **arrays, key=jax.random.key_data(self.key))
    if process == 0:
      numbers = {"step": pending.step, **jax.tree.map(float, metrics)}
      write_text(os.path.join(folder, "metrics.json"), json.dumps(numbers, indent=2))
    with Checkpointer(os.path.join(folder, "state")) as evidence:
      evidence.save(pending.step, self.state)
    raise InputError(
      f"step {pending.step}: loss or gradient is not finite (nats {metrics['nats']:g}, gradient norm "
      f"{metrics['grad_norm']:g}); batch, key and the last good state are in {folder}; "
      "try a lower learning_rate, a longer warm-up or clip_norm"
    )


class _Window:
  """Sums of metrics between two reports, and the time of those steps that follow directly on another."""

  def __init__(self) -> None:
    self.clock: float | None = None
    self.clear()

  def clear(self) -> None:
    self.sums: Any = None
    self.steps, self.timed_positions, self.seconds = 0, 0, 0.0

  def restart_clock(self) -> None:
    self.clock = time.perf_counter()

  def add(self, metrics: dict[str, Any]) -> None:
    now = time.perf_counter()
    if self.clock is not None:
      self.seconds += now - self.clock
      self.timed_positions += int(metrics["positions"])
    self.clock = now
    doubles = jax.tree.map(float, metrics)
    self.sums = doubles if self.sums is None else jax.tree.map(lambda a, b: a + b, self.sums, doubles)
    self.rate = doubles["learning_rate"]
    self.steps += 1

  def close(self) -> dict[str, float]:
    """Returns the report's numbers and starts a new window."""
    positions = max(self.sums["positions"], 1.0)
    report = {"bits": bits_per_position(-self.sums["nats"], positions)}
    report |= {f"terms/{name}": bits_per_position(-nats, positions) for name, nats in self.sums["terms"].items()}
    report |= {"grad_norm": self.sums["grad_norm"] / self.steps, "learning_rate": self.rate}
    if self.seconds > 0:
      report["positions_per_second"] = self.timed_positions / self.seconds
    self.clear()
    return report


def _due(step: int, period: int) -> bool:
  return period > 0 and step % period == 0
