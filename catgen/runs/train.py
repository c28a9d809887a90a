"""Training: from a configuration to a work directory with checkpoints, records and pictures."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax

from catgen.config.plugins import check_found_again
from catgen.config.settings import EXPERIMENT
from catgen.data import summary
from catgen.interfaces import Batch, PyTree
from catgen.paths import exists, join
from catgen.records import shown_briefly
from catgen.reporting import charts, terminal, trackers, writers
from catgen.reporting.progress import OpenProgress, duration, no_progress, train_progress
from catgen.reporting.tracking import Tracking
from catgen.runs import agreement, exported, initial, shared
from catgen.runs.by_products import ByProducts
from catgen.runs.experiment import Experiment, batches, make_experiment
from catgen.runs.record import (
  RunRecord,
  check_definition,
  continued,
  definition,
  found_data,
  has_record,
  read_record,
  record_of,
  write_record,
)
from catgen.runs.validation import make_sampler, make_validation, media_in
from catgen.sources import DataSource
from catgen.training import clusters, distributed, loop
from catgen.training.checkpoint import Checkpointer, check_kept, checkpoint_steps
from catgen.training.ledger import Ledger, described, measured
from catgen.training.profiling import profiling, steps_of
from catgen.training.restoring import Restored
from catgen.training.state import TrainState
from catgen.training.utilization import Utilization

_LOSS_CURVE, _SAMPLES = "loss_curve.png", "validation_samples.png"


@shown_briefly
class Trained(NamedTuple):
  """How a training run ended."""

  workdir: str
  step: int
  interrupted: bool  # by a signal; the same call goes on
  exit_code: int  # 0, or 128 + the number of the signal
  pictures: tuple[str, ...]
  seconds: Mapping[str, float] = MappingProxyType({})  # of the whole run, by what they went into; see `ledger`


def train(
  config: Mapping[str, Any],
  workdir: str,
  baselines: Mapping[str, float] | None = None,
  devices: Sequence[jax.Device] | None = None,
  *,
  init_from: str | None = None,
  profile: str | None = None,
  say: Callable[[str], None] = print,
  progress: OpenProgress = no_progress,
) -> Trained:
  """Trains, or goes on training, in a work directory, which no other process may hold at the same time.

  SIGTERM, SIGINT (Ctrl-C), SIGHUP and SIGUSR2 end it with a checkpoint, SIGUSR1 writes one and goes on.

  Args:
    config: resolved. What was there before must be of the same run; see `changes` for what may differ.
    workdir: folder of the run.
    baselines: lines in the loss curve, name -> bits per position.
    devices: to train on; default: all there are.
    init_from: a new run takes the parameters of another one that have the same name and shape: its work directory,
      best checkpoint, or that of a step, runs/other@3000.
    profile: steps of which a trace is written, 10:15 for 10 to 14, for Perfetto and for TensorBoard's and XProf's
      profiles; of several processes of the first.
    say: receives lines about what is done; of several processes the first speaks.
    progress: opens the bar.

  Raises:
    InputError: anything that does not fit, by name; or the training failed, with what to do.
  """
  first = jax.process_index() == 0
  say = say if first else terminal.silent
  ledger, profiled = Ledger(), None if profile is None else steps_of(profile)
  exported.check_trainable(workdir)
  made, record = agreement.agreed(partial(_made, config, workdir, devices), lambda found: agreement.of_record(found[1]))
  say(summary(made.source))
  for line in (*made.source.warnings, *media_in(made).warnings()):
    say(f"warning: {line}")
  settings, keep = made.config["training"], made.config["checkpoint"]
  check_kept(keep["keep_latest"])
  draw = make_sampler(made)
  tracking = Tracking(**made.config["tracking"], config=made.config)
  distributed.first_does(lambda: trackers.check(tracking.trackers))
  found = None if init_from is None or checkpoint_steps(workdir) else initial.check_there(init_from)
  beside = ByProducts(say)
  with (
    contextlib.ExitStack() as stack,
    shared.owned(workdir, say) as check_owner,
    _checkpointer(keep, workdir, record, say) as checkpoints,
  ):
    state, record = _begin(made, record, checkpoints, workdir, init_from, found, say)
    distributed.first_does(lambda: write_record(workdir, record))
    start = int(state.step)
    say(f"training {workdir} from step {start} to {settings['num_steps']} on {_place_of(made, devices)}")
    sinks = [writers.no_writers()]
    with beside.may_fail("record of time"):  # before lines beyond the checkpoint are dropped
      ledger.go_on(_lines(workdir) if first else [], start)
    distributed.first_does(lambda: sinks.append(writers.open_writers(workdir, start, tracking=tracking, say=say)))
    stack.callback(sinks[-1].close)

    def before_saving() -> None:
      check_owner()
      _complete(workdir, record, sinks[-1], beside, say)

    bar = progress if first else no_progress
    hooks = _hooks(made, draw, workdir, start, sinks[-1], ledger, say, bar)._replace(check_owner=before_saving)
    if profiled and first:
      hooks = hooks._replace(profile=stack.enter_context(profiling(profiled, workdir, beside.may_fail, say)))
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
      hooks=hooks,
      skip_nonfinite=settings["skip_nonfinite"],
      ledger=ledger,
    )
    if result.step > start:
      with beside.may_fail(writers.FILE_NAME):
        sinks[-1].write(result.step, measured(ledger.read()))
  pictures: tuple[str, ...] = ()
  with beside.may_fail(_LOSS_CURVE):
    pictures = draw_loss_curve(workdir, made.source.position, baselines) if first else ()
  return Trained(workdir, result.step, result.interrupted, result.exit_code, pictures, ledger.read())


def _made(
  config: Mapping[str, Any], workdir: str, devices: Sequence[jax.Device] | None
) -> tuple[Experiment, RunRecord]:
  """Returns what is trained, and the record of a run that begins with it."""
  config, source = joined(config, workdir)
  made = make_experiment(config, source, devices=devices)
  return made, record_of(config, made.source)


def _checkpointer(keep: Mapping[str, Any], workdir: str, record: RunRecord, say: Callable[[str], None]) -> Checkpointer:
  """Returns what writes a run's checkpoints, by the section `checkpoint`."""
  latest, every = keep["keep_latest"], keep["keep_every"]
  return Checkpointer(workdir, keep_latest=latest, keep_every=every, identity=definition(record), say=say)


def _complete(
  workdir: str, record: RunRecord, sink: writers.Writers, beside: ByProducts, say: Callable[[str], None]
) -> None:
  """Writes what belongs beside a checkpoint: the lines of steps before, and the record, where somebody has moved it."""
  with beside.may_fail("record of the run"):
    if jax.process_index() == 0 and not has_record(workdir):
      write_record(workdir, record)
      say(f"warning: {workdir} has lost its config.json, as if it was moved: written again, training goes on there")
  with beside.may_fail(writers.FILE_NAME):
    sink.flush()  # else they are lost with the process


def _place_of(made: Experiment, devices: Sequence[jax.Device] | None) -> str:
  """Returns what a run is trained on, in words."""
  return clusters.described(clusters.in_use()) if devices is None else terminal.counted(made.mesh.size, "device")


def describe(trained: Trained) -> str:
  """Returns how a training run ended, at which step, and what its time went into, in a line."""
  verb = "stopped; the same command goes on" if trained.interrupted else "done"
  took = f" ({duration(sum(trained.seconds.values()))}: {described(trained.seconds)})" if trained.seconds else ""
  return f"{verb} at step {trained.step}: {trained.workdir}{took}"


def draw_loss_curve(workdir: str, position: str, baselines: Mapping[str, float] | None = None) -> tuple[str, ...]:
  """Draws the loss curve of a work directory, in bits, and returns its path; nothing where there are no losses yet."""
  metrics, picture = join(workdir, writers.FILE_NAME), join(workdir, _LOSS_CURVE)
  if not any("train/bits" in record for record in writers.read_metrics(metrics)):
    return ()
  charts.loss_curve(metrics, picture, position=position, baselines=baselines)
  return (picture,)


def joined(config: Mapping[str, Any], workdir: str) -> tuple[Mapping[str, Any], DataSource | None]:
  """Returns a configuration with what a run that has begun keeps: the rule by which its records were split.

  Where that rule had no number yet the data set is read to find it, and returned.

  Raises:
    InputError: a kind is chosen that no other command would find, see `check_found_again`.
  """
  check_found_again(EXPERIMENT, config)
  if not has_record(workdir) or "split_rule" not in config["data"]:
    return config, None
  old = read_record(workdir)
  if old.config["data"]["kind"] != config["data"]["kind"]:
    return config, None  # other data, which are refused when they are known
  rule, source = old.config["data"].get("split_rule"), None
  section = {**config["data"], "split_rule": rule}
  if rule is None:
    section, source = found_data(old._replace(config={**old.config, "data": section}))
  return {**config, "data": section}, source


def _begin(
  made: Experiment,
  record: RunRecord,
  checkpoints: Checkpointer,
  workdir: str,
  init_from: str | None,
  found: Restored | None,
  say: Callable[[str], None],
) -> tuple[TrainState, RunRecord]:
  """Returns the state that training starts from, restored or new, and the record that goes with it."""
  old = read_record(workdir) if has_record(workdir) else None
  if old is not None:
    continued(old, record, 0, workdir)  # another run is refused before its checkpoints are looked at
  state = checkpoints.restore(made.target)
  if state is None:
    state = made.init()
    if init_from is not None:
      state, ancestor = initial.taken(state, init_from, say, found)
      record = record._replace(lineage=(ancestor,))
    return state, record if old is None else _changed(old, record, 0, workdir, say)
  step = int(state.step)
  check_definition(old or record, checkpoints.identity(step), step, workdir)
  if old is None:
    say(f"{workdir} holds checkpoints but no config.json: it is written again, as this command says")
    return state, record
  if init_from is not None:
    initial.check_began_from(old, init_from, workdir)
  new = _changed(old, record, step, workdir, say)
  for line in initial.changed_rates(old.config, new.config, step):
    say(line)
  return state, new


def _changed(old: RunRecord, record: RunRecord, step: int, workdir: str, say: Callable[[str], None]) -> RunRecord:
  """Returns the record of a run that goes on, and says what is changed in it."""
  new = continued(old, record, step, workdir)
  for change in new.changes:
    if change not in old.changes:
      say(str(change))
  return new._replace(lineage=old.lineage or record.lineage)


def comfort(workdir: str) -> str:
  """Returns what a run that ends now will go on from."""
  steps = checkpoint_steps(workdir)
  return f"the same command goes on from step {steps[-1]}" if steps else "nothing is saved yet; start it again"


def _hooks(
  made: Experiment,
  draw: Callable[..., Batch] | None,
  workdir: str,
  start: int,
  sink: writers.Writers,
  ledger: Ledger,
  say: Callable[[str], None],
  open_progress: OpenProgress,
) -> loop.Hooks:
  """Returns what the loop calls."""
  num_steps, position = made.config["training"]["num_steps"], made.source.position
  validate, beside = make_validation(made), ByProducts(say)
  show = train_progress(num_steps, start_step=start, position=position, open_progress=open_progress)

  utilization = Utilization(made.mesh.devices.flat[0].device_kind, made.mesh.size)

  def report(step: int, metrics: dict[str, float]) -> None:
    metrics |= utilization.of(metrics.get("seconds_per_step"))
    with beside.may_fail(writers.FILE_NAME):
      sink.write(step, {**{f"train/{name}": value for name, value in metrics.items()}, **measured(ledger.read())})
    show(step, metrics)

  def validate_and_write(params: PyTree, model_state: PyTree, step: int, check: Callable[[], None]) -> dict[str, float]:
    assert validate is not None
    metrics = validate(params, model_state, step, check)
    with beside.may_fail(writers.FILE_NAME):
      if step > start or not _is_written(workdir, step):
        sink.write(step, {f"validation/{name}": value for name, value in metrics.items()})
      sink.flush()
    return metrics

  def picture(params: PyTree, model_state: PyTree, step: int, check: Callable[[], None]) -> None:
    assert draw is not None
    samples = draw(params, model_state, check)  # on all processes
    if jax.process_index() == 0:
      with beside.may_fail(_SAMPLES):
        path = join(workdir, _SAMPLES)
        shown = media_in(made).pictured.samples
        assert shown is not None
        shown(path, samples, title=f"samples, step {step:,}")
        sink.show(step, [path])

  hooks = loop.Hooks(report, validate_and_write if validate else None, picture if draw else None, say)
  return hooks._replace(traced=utilization.count) if utilization.known else hooks


def _lines(workdir: str) -> list[dict[str, Any]]:
  """Returns what metrics.jsonl has, of this process and of those before it, without the lines that are damaged."""
  path = join(workdir, writers.FILE_NAME)
  return writers.read_metrics(path, terminal.silent) if exists(path) else []


def _is_written(workdir: str, step: int) -> bool:
  """Returns whether a validation is recorded: it was, where a run ended between that and its checkpoint's record."""
  return any(line["step"] == step and "validation/bits" in line for line in _lines(workdir))
