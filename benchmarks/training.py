"""Training speed: seconds a step, positions a second, and FLOP/s of the matrix products.

  python -m benchmarks.training
  python -m benchmarks.training --subjects=paper_text8 --batch_size=32 --steps=5 --dtype=bfloat16

Each step is a whole one (draws, forward, backward, optimizer), timed by itself after compilation; the table has the
median, the fastest and the slowest.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from benchmarks.subjects import Dtype, describe_machine, experiment_of
from catgen.reporting import terminal
from catgen.runs.command import Command
from catgen.runs.experiment import Experiment
from catgen.training import dry_run
from catgen.training.sharding import place
from launch import cli


class Speed(NamedTuple):
  """A table of speeds, and what they were measured on."""

  rows: list[list]
  heading: str


def training(
  *,
  subjects: Sequence[str] = ("quickstart", "modern", "paper_text8"),
  batch_size: int | None = None,
  steps: int = 5,
  dtype: Dtype = "float32",
  say: Callable[[str], None] = print,
) -> Speed:
  """Measures how fast training steps are.

  Args:
    subjects: what to train; may be repeated.
    batch_size: examples a step; default: the configuration's.
    steps: steps that are timed.
    dtype: of the network's arithmetic.
    say: receives a line for each subject.
  """
  rows = []
  for name in subjects:
    say(name)
    rows.append(measure(name, experiment_of(name, batch_size=batch_size, dtype=dtype), steps))
  return Speed(rows, f"{describe_machine()}; dtype {dtype}, {steps} steps each")


def describe(speed: Speed) -> str:
  """Returns the table."""
  header = ["subject", "parameters", "batch", "s/step", "fastest", "slowest", "positions/s", "GFLOP/s", "compile s"]
  return f"{speed.heading}\n{terminal.table(header, speed.rows)}"


def measure(name: str, made: Experiment, steps: int) -> list:
  """Returns a row of the table."""
  batch = place(made.example, made.mesh)
  cost = dry_run.describe(made.train_step.trace(made.target, batch, made.key), made.target.params, made.target, batch)
  state = made.init()
  started = time.perf_counter()
  state, _ = jax.block_until_ready(made.train_step(state, batch, made.key, 0))
  compiling, seconds = time.perf_counter() - started, []
  for step in range(1, steps + 1):
    started = time.perf_counter()
    state, _ = jax.block_until_ready(made.train_step(state, batch, made.key, step))
    seconds.append(time.perf_counter() - started)
  middle = float(np.median(seconds))
  return [
    name,
    cost.num_parameters,
    " x ".join(map(str, made.example.x.shape)),
    f"{middle:.3f}",
    f"{min(seconds):.3f}",
    f"{max(seconds):.3f}",
    f"{made.example.x.size / middle:,.0f}",
    f"{cost.flops / middle / 1e9:.0f}",
    f"{compiling - middle:.1f}",
  ]


if __name__ == "__main__":
  sys.exit(cli.main(__doc__, None, Command(training, describe)))
