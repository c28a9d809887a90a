"""From data in hand, or the name of a configuration, to a trained model: what a notebook starts from."""

import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

from catgen.config import AnyConfiguration, apply_overrides, configuration, flat, make_source, resolve
from catgen.interfaces import InputError
from catgen.paths import expanded, join, name_of
from catgen.reporting.progress import OpenProgress, open_progress
from catgen.runs import exported
from catgen.runs import train as training
from catgen.runs.argument_types import checked
from catgen.runs.changes import changes_between
from catgen.runs.choose import Chosen, Data, is_kept, keep, plan
from catgen.runs.experiment import batches, make_experiment
from catgen.runs.load import Run, load
from catgen.runs.record import continued, has_record, read_record, record_of
from catgen.training.sharding import place
from catgen.training.signals import Stopped

_TIMED_STEPS, _PROBE_STEPS = 5, 8  # the first ones compile and are not timed
_SHARE_OF_TIME = 0.8  # of what is left; the rest is for compiling again, validation and checkpoints
_FEWEST, _MOST = 40, 200_000  # steps
_OF_TIME = (  # keys that follow the number of steps that there is time for
  "training.num_steps",
  "training.report_every",
  "training.validate_every",
  "training.validation_examples",
  "optimizer.warmup_steps",
)


@checked
def train(
  config: AnyConfiguration,
  workdir: str | os.PathLike[str],
  *,
  overrides: Mapping[str, Any] | None = None,
  say: Callable[[str], None] = print,
  progress: OpenProgress = open_progress,
) -> Run:
  """Trains a configuration for all its steps and returns the model; the same call goes on where it was stopped.

  Args:
    config: name of a configuration, "quickstart" or "paper/text8_multinomial", or the path of a file; or what
      `catgen.load_config` returns, or its sections.
    workdir: folder of the run.
    overrides: what differs, {"training.num_steps": 200, "model.process": "absorbing"}.
    say: receives lines about what is done.
    progress: opens the bar.

  Raises:
    InputError: anything that does not fit, by name.
    Stopped: a signal (Ctrl-C) ended it, with a checkpoint; it is a KeyboardInterrupt.
  """
  workdir = expanded(workdir)
  return _loaded(training.train(configuration(config, overrides).values, workdir, say=say, progress=progress), say)


@checked
def fit(
  data: Data,
  workdir: str | os.PathLike[str],
  *,
  minutes: float = 5.0,
  family: str | None = None,
  overrides: Mapping[str, Any] | None = None,
  seed: int = 0,
  say: Callable[[str], None] = print,
  progress: OpenProgress = open_progress,
) -> Run:
  """Trains a model on data of yours for about so many minutes and returns it; the same call goes on where it stopped.

  What is chosen, and said:

  - **Data.** A list of strings of one length, up to 512: a record each. Strings of different lengths: one stream of
    characters with line breaks between them (blank lines, if they have line breaks themselves), so that the model
    learns where they end. A path: a folder of texts is one of documents, any other folder one of label maps; .npy and
    .npz are arrays; .fa, .fasta, .fna and .faa hold sequences; .csv, .tsv (packed too) and .parquet are tables; any
    other file, .txt too, is a stream of characters. A data frame (pandas, polars), or a dict of columns: a table,
    with a bin of numbers for every 20 rows, from 8 to 64 of them. An array of integers: one axis is a stream, two are
    records, three are label maps, the first axis numbering the examples. A twentieth each is for validation and for
    the test.
  - **Family.** Text: autoregressive, which reads best. Tables, records and streams of integers: masked diffusion, which
    completes holes anywhere, exactly. Label maps: multinomial diffusion.
  - **Size.** A transformer of 4 layers, 128 wide; of 2 layers, 64 wide, with dropout, for tables of fewer than 20,000
    rows; for maps whose height and width are multiples of 4 a U-Net of widths 32, 64, 96. As many steps as the time
    allows, measured on this machine after compilation, but no more than 30 times through the rows of a table, or 600
    steps (12 times or 200, autoregressive): beyond, a model of few rows only learns them by heart.

  Args:
    data: see above. Data in memory are kept as data.txt, data.csv or data.npy in the work directory.
    workdir: folder of the run.
    minutes: of the whole call, about; compiling alone takes most of one on small machines.
    family: "autoregressive", "masked" or "multinomial" instead of the choice above.
    overrides: any other key of the configuration, {"model.network.width": 256, "data.length": 128}; those of `data` say
      how the data are read before anything is chosen: {"data.shape": (32, 64)}, {"data.ignore": [255]}.
    seed: of everything.
    say: receives what was chosen and what is done.
    progress: opens the bar.

  Raises:
    InputError: data of another kind or too few, or a work directory that holds another run.
    Stopped: a signal (Ctrl-C) ended it, with a checkpoint; it is a KeyboardInterrupt.
  """
  started, workdir = time.monotonic(), expanded(workdir)
  if not 0 < minutes < math.inf:
    raise InputError(f"minutes is {minutes}; give a positive number")
  exported.check_trainable(workdir)
  chosen = plan(data, workdir, family=family, seed=seed, overrides=overrides)
  config, given = resolve(apply_overrides(chosen.config, overrides or {})), flat(overrides or {})
  if has_record(workdir):
    config = _going_on(config, chosen, given, workdir)
    keep(chosen)
  else:
    keep(chosen)
    for reason in chosen.reasons:
      say(reason)
    config = _timed(config, given, started + 60 * minutes, chosen.most_steps)
    say(f"{config['training']['num_steps']:,} steps of {config['training']['batch_size']} examples")
  return _loaded(training.train(config, workdir, say=say, progress=progress), say)


def _loaded(trained: training.Trained, say: Callable[[str], None]) -> Run:
  """Returns the model of a training that has come to its end. Raises Stopped where a signal ended it before."""
  if trained.interrupted:
    kept = f"catgen.load({trained.workdir!r}) returns the model as it is"
    raise Stopped(f"stopped at step {trained.step} with a checkpoint; the same call goes on, {kept}", trained.exit_code)
  return load(trained.workdir, say=say)


def _going_on(config: dict[str, Any], chosen: Chosen, given: Mapping[str, Any], workdir: str) -> dict[str, Any]:
  """Returns the configuration that the run of a work directory goes on with, and writes nothing.

  Raises:
    InputError: the directory holds another run: on other data, or by a key that makes one.
  """
  old = read_record(workdir)
  changes_between(old.config, {**old.config, "seed": config["seed"]}, 0, workdir)  # it deals few records to the splits
  config = _with_times(config, given, flat(old.config))
  if is_kept(chosen):
    return config  # training compares it with the run, and the data that it reads
  with tempfile.TemporaryDirectory() as folder:  # data in memory that this run does not have are not left in it
    section = {**config["data"], "path": join(folder, name_of(config["data"]["path"]))}
    keep(chosen._replace(config={**chosen.config, "data": section}))
    read, source = training.joined({**config, "data": section}, workdir)
    source = source or make_source(read["data"])
  if source.fingerprint != old.fingerprint:
    raise InputError(
      f"{workdir} holds a run on other data (SHA-256 {old.fingerprint[:12]} there, {source.fingerprint[:12]} here), or"
      " on these cut otherwise; give another work directory, or the same data to go on"
    )
  continued(old, record_of(config, source), 0, workdir)
  return config


def _timed(config: dict[str, Any], given: Mapping[str, Any], deadline: float, most: int | None) -> dict[str, Any]:
  """Returns the configuration with as many steps as there is time for, up to `most`, unless their number is given."""
  if "training.num_steps" in given:
    return config
  seconds = step_seconds(config)
  num_steps = int(_SHARE_OF_TIME * (deadline - time.monotonic()) / seconds)
  num_steps = min(most or _MOST, max(_FEWEST, num_steps))
  found = {
    "training.num_steps": num_steps,
    "training.report_every": max(1, num_steps // 40),
    "training.validate_every": max(1, num_steps // (4 if most is None else 10)),  # of a table the best may come early
    "training.validation_examples": 256,
    "optimizer.warmup_steps": min(50, num_steps // 10),
  }
  return _with_times(config, given, found)


def _with_times(config: dict[str, Any], given: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a configuration with the keys that depend on the time there was, as they are found; given ones stay."""
  sections = {"training": {**config["training"]}, "optimizer": {**config["optimizer"]}}
  for name in _OF_TIME:
    section, key = name.split(".")
    if name not in given and name in found:
      sections[section][key] = found[name]
  return {**config, **sections}


def step_seconds(config: Mapping[str, Any]) -> float:
  """Returns the seconds of a training step on this machine, after compilation: the mean of a few."""
  probe = {**config, "training": {**config["training"], "num_steps": _PROBE_STEPS}}
  made = make_experiment(probe)
  state, seconds = made.init(), 0.0
  for step, batch in enumerate(batches(made, 0)):
    started = time.perf_counter()
    state, metrics = made.train_step(state, place(batch, made.mesh), made.key, step)
    jax.block_until_ready(metrics)
    seconds += time.perf_counter() - started if step >= _PROBE_STEPS - _TIMED_STEPS else 0.0
  return seconds / _TIMED_STEPS
