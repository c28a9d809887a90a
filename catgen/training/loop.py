"""The training loop: next batch, step, and on their periods report, save, then validate, then picture.

Metrics are read one step late, when the next step is already under way, so that the device never waits for the host.
What validation, a picture or a disk does wrong costs no step: the state is saved before.
"""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array

from catgen.interfaces import Batch, InputError
from catgen.training import nonfinite
from catgen.training.checkpoint import Checkpointer
from catgen.training.distributed import Stop, make_agreement
from catgen.training.ledger import TRAINING, Ledger
from catgen.training.sharding import place, replicated
from catgen.training.signals import Request, Stopped, catch_signals
from catgen.training.state import TrainState
from catgen.training.stragglers import Stragglers
from catgen.training.window import Window

SAVE_ON = 1  # what processes tell each other: nothing (0), save and go on, or 128 + the number of the signal to stop
PATIENCE_SECONDS, RETRY_SECONDS = 600.0, 10.0  # how long a run's last checkpoint waits for a disk that refuses it
_LOOK_SECONDS = 0.1  # how often it looks whether a signal asks to stop


class Periods(NamedTuple):
  """How often, in steps, something happens; 0 = never. Validation and checkpoints also come after the last step."""

  report: int = 100
  validate: int = 0
  checkpoint: int = 0  # besides one before each validation, so that the best can be kept, and one at the end


class Hooks(NamedTuple):
  """What the loop calls; the numbers of steps are of updates done."""

  # (step, {"bits", "terms/<name>", "grad_norm", "learning_rate", "positions_per_second", "seconds_per_step",
  # "skipped_steps"}): bits per position and means since the last report; the times leave out compilation, validation
  # and the writing of checkpoints, and are missing where nothing could be timed; skipped steps are counted since the
  # run began, where any may be. Of several processes also what `Stragglers` tells, of the period before
  report: Callable[[int, dict[str, float]], None] | None = None
  # (params, or their moving average where there is one; model_state; step; check) -> {criterion: lower is better, ...}.
  # check() between two batches raises Stopped where a signal asks to stop; all processes must call it equally often
  validate: Callable[[Any, Any, int, Callable[[], None]], dict[str, float]] | None = None
  # the same arguments, after each validation and its records
  picture: Callable[[Any, Any, int, Callable[[], None]], None] | None = None
  say: Callable[[str], None] = print  # receives a line where something did not work and the run goes on
  check_owner: Callable[[], None] = lambda: (
    None
  )  # before each save: raises where another process took the work directory
  profile: Callable[[int], bool] = lambda step: False  # before each step: whether it took time; see `Profile`
  traced: Callable[[Any], None] | None = None  # receives the program of a step, before the first


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
  asked: Any  # see SAVE_ON


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
  skip_nonfinite: int = 0,
  ledger: Ledger | None = None,
) -> TrainResult:
  """Trains until `state.step` is `num_steps` and returns the state.

  A signal to stop (see `catch_signals`) ends it after the step in hand, or at the next batch of a validation, with a
  checkpoint; a second one ends the process at once. SIGUSR1 saves and goes on. Of several processes it is enough that
  one gets the signal: all act after the same step.

  A checkpoint that was not validated when it was due, because the run ended before, is validated first.

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
    skip_nonfinite: so many steps of the whole run may be left out because their loss or gradient is not finite.
    ledger: counts what the time goes into.

  Raises:
    InputError: a loss or gradient was not finite; its batch, key and the state before it are in `workdir/nonfinite`.
      Or the batches ran out, or the last checkpoint could not be written.
  """
  workdir = os.fspath(workdir)
  with catch_signals() as request:
    run = _Run(state, train_step, key, mesh, workdir, checkpoints, periods or Periods(), hooks or Hooks(), request)
    run.allow_skips(skip_nonfinite)
    run.ledger = ledger or run.ledger
    run.validate_late(num_steps)
    run.ledger.turn(TRAINING)
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
    request: Request,
  ):
    self.state, self.train_step, self.key, self.mesh = state, train_step, key, mesh
    self.workdir, self.checkpoints = workdir, checkpoints
    self.periods, self.hooks, self.request = periods, hooks, request
    self.step = self.first = int(state.step)
    self.pending: _Pending | None = None
    self.window = Window()
    self.agree = make_agreement(mesh)
    self.asked_to_stop = Stop(mesh, lambda: request.signal or 0)
    self.stop_signal, self.save_asked, self.unvalidated = 0, False, False
    self.unrecorded: dict[int, dict[str, float]] = {}  # numbers of validations that are not beside their checkpoint
    self.skips: Any = None  # how many are left, on the devices; None = none are allowed
    self.skipped: set[int] = set()
    self.ledger = Ledger()
    self.compiled = False  # the first step of this process is
    self.stragglers = Stragglers(mesh, self.hooks.say) if jax.process_count() > 1 else None

  @property
  def stopping(self) -> bool:
    if jax.process_count() == 1:
      self.hear(self.asked())
    return self.stop_signal > 0

  def asked(self) -> int:
    """Returns, once, what signals have asked this process for, see SAVE_ON."""
    save, self.request.save = self.request.save, False
    return 128 + self.request.signal if self.request.signal else SAVE_ON if save else 0

  def hear(self, asked: int) -> None:
    """Takes over what any process was asked for."""
    self.stop_signal = max(self.stop_signal, asked - 128)
    self.save_asked |= asked == SAVE_ON

  def check(self) -> None:
    """Raises Stopped where any process was asked to stop; called between two calls of a validation."""
    self.stop_signal = max(self.stop_signal, self.asked_to_stop())
    if self.stop_signal:
      raise Stopped("validation was left", 128 + self.stop_signal)

  def allow_skips(self, number: int) -> None:
    """Lets so many steps of the whole run be skipped, less those that were skipped before this one."""
    if number:
      self.skipped = nonfinite.skipped_steps(self.workdir, before=self.step)
      self.skips = replicated(np.int32(max(0, number - len(self.skipped))), self.mesh)

  def advance(self, step: int, batches: Iterator[Batch]) -> None:
    """Starts a step, then reads the metrics of the one before."""
    if self.hooks.profile(step):
      self.window.restart_clock()
    batch = self.next_of(batches)
    if batch is None:
      raise InputError(f"the batches ended before step {step}; give an iterator that goes on to the last step")
    placed = place(batch, self.mesh)
    skips = () if self.skips is None else (self.skips,)
    with jax.profiler.StepTraceAnnotation("train", step_num=step):
      metrics = self.start(placed, step, *skips)
    self.skips = metrics.pop("skips_left", None)
    started = _Pending(step, batch, metrics, self.agree(self.asked()) if jax.process_count() > 1 else 0)
    self.read()
    self.pending, self.step = started, step + 1

  def next_of(self, batches: Iterator[Batch]) -> Batch | None:
    """Returns the next batch, None where there is none; waiting for it counts where the devices wait too."""
    started = time.perf_counter()
    batch = next(batches, None)
    idle = self.pending is None or _is_done(self.pending.metrics)
    if idle and self.compiled:
      self.ledger.moved("waiting", time.perf_counter() - started)
    return batch

  def start(self, placed: Batch, step: int, *skips: Any) -> dict[str, Any]:
    """Starts a step, and returns its metrics, which are not there yet; the first one is compiled."""
    arguments = (self.state, placed, self.key, step, *skips)
    if self.compiled:
      self.state, metrics = self.train_step(*arguments)
      return metrics
    with self.ledger.spending("compiling"):
      if self.hooks.traced:
        self.hooks.traced(self.train_step.trace(*arguments))  # type: ignore[attr-defined]  # of what jit returns
      self.state, metrics = self.train_step(*arguments)
    self.compiled = True
    return metrics

  def read(self) -> None:
    """Waits for the pending step, checks it, counts it and reports where that is due."""
    if self.pending is None:
      return
    pending, self.pending = self.pending, None
    started = time.perf_counter()
    metrics = jax.device_get(pending.metrics)
    waited = time.perf_counter() - started
    if metrics["non_finite"] and not metrics.get("skipped"):
      self.fail(pending, metrics)
    self.hear(int(pending.asked))
    if metrics.pop("skipped", False):
      self.skip(pending, metrics)
    else:
      self.window.add(metrics, waited)
    if self.hooks.report and _due(pending.step + 1, self.periods.report):
      counted = {} if self.skips is None else {"skipped_steps": float(len(self.skipped))}
      others = {} if self.stragglers is None else self.stragglers(*self.window.seconds_of_a_step())
      self.hooks.report(pending.step + 1, {**self.window.close(), **counted, **others})

  def at_boundary(self, done: int, last: bool) -> None:
    """Saves and validates where due."""
    validate = self.hooks.validate is not None and (last or _due(done, self.periods.validate))
    if not (validate or last or self.save_asked or _due(done, self.periods.checkpoint)):
      return
    self.read()
    with self.ledger.spending("saving"):
      self.save(done)
    if validate:
      self.validate(done)
    self.window.restart_clock()

  def validate_late(self, num_steps: int) -> None:
    """Validates the restored checkpoint where that was due and did not come to an end."""
    due = _due(self.step, self.periods.validate) or self.step == num_steps
    if self.hooks.validate is None or self.checkpoints is None or not due or self.step not in self.checkpoints.steps():
      return
    if self.checkpoints.metrics(self.step) is None:
      self.validate(self.step)

  def validate(self, done: int) -> None:
    """Validates the state of a checkpoint; a signal to stop leaves it, and the run validates when it goes on."""
    assert self.hooks.validate is not None
    params = self.state.params if self.state.ema is None else self.state.ema
    before = self.ledger.turn("validating")
    try:
      metrics = self.hooks.validate(params, self.state.model_state, done, self.check)
      self.unrecorded[done] = metrics
      self.record()
      if self.hooks.picture:
        self.hooks.picture(params, self.state.model_state, done, self.check)
    except Stopped:
      self.unvalidated = True
    finally:
      self.ledger.turn(before)

  def record(self) -> None:
    """Puts the numbers of validations beside their checkpoints; those that find no room are tried again at each save,
    since without them the best checkpoint would not be known."""
    for step, metrics in list(self.unrecorded.items()):
      if self.checkpoints is None or self.warned(partial(self.checkpoints.add_metrics, step, metrics)):
        del self.unrecorded[step]

  def save(self, done: int) -> None:
    """Saves. What the disk refuses is a warning, and the next save tries again: ending would lose as many steps."""
    self.save_asked = False
    if self.checkpoints is not None:
      self.hooks.check_owner()
      self.warned(self.checkpoints.wait)
      self.record()
      self.warned(partial(self.checkpoints.save, done, self.state))

  def warned(self, write: Callable[[], None]) -> bool:
    """Returns whether something could be written; of several processes none may go on where another cannot."""
    try:
      write()
      return True
    except InputError as error:
      if jax.process_count() > 1:
        raise
      self.hooks.say(f"warning: {error}; training goes on")
      return False

  def finish(self, num_steps: int) -> TrainResult:
    """Reads what is pending, saves, and waits for the disk: where it refuses, until it does not, for some minutes."""
    self.read()
    interrupted = self.stopping and (self.step < num_steps or self.unvalidated)
    if self.checkpoints is not None:
      self.ledger.turn("saving")
      self.hooks.check_owner()
      self.save_at_last(self.checkpoints)
    return TrainResult(self.state, self.step, interrupted, 128 + self.stop_signal if interrupted else 0)

  def save_at_last(self, checkpoints: Checkpointer) -> None:
    """Saves the last state, trying again while the disk refuses; once more where a signal asks to stop."""
    deadline = time.monotonic() + (PATIENCE_SECONDS if jax.process_count() == 1 else 0.0)
    last = False
    while True:
      try:
        checkpoints.wait()
        checkpoints.save(self.step, self.state)
        checkpoints.wait()
        return self.record()
      except InputError as error:
        left = deadline - time.monotonic()
        if last or left <= 0:
          raise
        how = "once" if self.request.stopping() else f"for {max(1, round(left))} s"
        self.hooks.say(f"warning: {error}; trying again {how}")
        self.pause(RETRY_SECONDS)
        last = self.request.stopping()

  def pause(self, seconds: float) -> None:
    """Waits so long, or until the first signal asks to stop."""
    before, until = self.request.signal, time.monotonic() + seconds
    while self.request.signal == before and time.monotonic() < until:
      time.sleep(min(seconds, _LOOK_SECONDS))  # a signal does not end a sleep

  def skip(self, pending: _Pending, metrics: dict[str, Any]) -> None:
    """Counts a step that was left out, and keeps its batch and numbers."""
    self.skipped.add(pending.step)
    folder = nonfinite.folder_of(self.workdir, pending.step)
    self.warned(lambda: nonfinite.keep(folder, pending.step, pending.batch, self.key, metrics, skipped=True))
    self.hooks.say(f"warning: step {pending.step} was skipped: {nonfinite.described(metrics)}; see {folder}")

  def fail(self, pending: _Pending, metrics: dict[str, Any]) -> None:
    """Keeps the evidence of a step that was not finite: the state is still the one before it."""
    if self.checkpoints is not None:
      self.checkpoints.wait()
    folder = nonfinite.folder_of(self.workdir, pending.step)
    kept = self.warned(lambda: nonfinite.keep(folder, pending.step, pending.batch, self.key, metrics, self.state))
    where = f"batch, key and the last good state are in {folder}; " if kept else ""
    before = f", or, by launch.fork, from a checkpoint before that of step {self.first}, which may be spoiled"
    raise InputError(
      f"step {pending.step}: loss or gradient is not finite ({nonfinite.described(metrics)}); {where}"
      "start again with a lower optimizer.learning_rate, a longer warm-up or a clip_norm, or let "
      f"training.skip_nonfinite steps be left out{before if 0 < pending.step == self.first else ''}"
    )


def _is_done(metrics: dict[str, Any]) -> bool:
  """Returns whether the devices have computed a step."""
  found: list[Any] = [value for value in metrics.values() if isinstance(value, jax.Array)]
  return all(value.is_ready() for value in found)


def _due(step: int, period: int) -> bool:
  return period > 0 and step % period == 0
