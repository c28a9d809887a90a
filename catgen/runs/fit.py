"""From data in hand, or the name of a configuration, to a trained model: what a notebook starts from."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

from catgen.config import AnyConfiguration, apply_overrides, configuration, resolve
from catgen.interfaces import InputError
from catgen.paths import expanded
from catgen.reporting.progress import OpenProgress, open_progress
from catgen.runs import train as training
from catgen.runs.choose import Data, choose
from catgen.runs.experiment import batches, make_experiment
from catgen.runs.load import Run, load
from catgen.runs.record import has_record, read_record
from catgen.training.sharding import place

_TIMED_STEPS, _PROBE_STEPS = 5, 8  # the first ones compile and are not timed
_SHARE_OF_TIME = 0.8  # of what is left; the rest is for compiling again, validation and checkpoints
_FEWEST, _MOST = 40, 200_000  # steps


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
  """
  workdir = expanded(workdir)
  training.train(configuration(config, overrides).values, workdir, say=say, progress=progress)
  return load(workdir, say=say)


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
    overrides: any other key of the configuration, {"model.network.width": 256, "data.length": 128}.
    seed: of everything.
    say: receives what was chosen and what is done.
    progress: opens the bar.

  Raises:
    InputError: data of another kind or too few, or a work directory that holds another run.
  """
  started, workdir = time.monotonic(), expanded(workdir)
  if not minutes > 0:
    raise InputError(f"minutes is {minutes}; give a positive number")
  chosen = choose(data, workdir, family=family, seed=seed)
  if has_record(workdir):
    config = read_record(workdir).config
  else:
    for reason in chosen.reasons:
      say(reason)
    config = resolve(apply_overrides(chosen.config, overrides or {}))
    config = _timed(config, overrides or {}, started + 60 * minutes, chosen.most_steps)
    say(f"{config['training']['num_steps']:,} steps of {config['training']['batch_size']} examples")
  training.train(config, workdir, say=say, progress=progress)
  return load(workdir, say=say)


def _timed(config: dict[str, Any], overrides: Mapping[str, Any], deadline: float, most: int | None) -> dict[str, Any]:
  """Returns the configuration with as many steps as there is time for, up to `most`, unless their number is given."""
  if "training.num_steps" in overrides:
    return config
  seconds = step_seconds(config)
  num_steps = int(_SHARE_OF_TIME * (deadline - time.monotonic()) / seconds)
  num_steps = min(most or _MOST, max(_FEWEST, num_steps))
  training_section = {
    **config["training"],
    "num_steps": num_steps,
    "report_every": max(1, num_steps // 40),
    "validate_every": max(1, num_steps // (4 if most is None else 10)),  # of a table the best may come early
    "validation_examples": 256,
  }
  return {
    **config,
    "training": training_section,
    "optimizer": {**config["optimizer"], "warmup_steps": min(50, num_steps // 10)},
  }


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
