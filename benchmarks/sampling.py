"""Sampling speed: seconds and positions a second for several numbers of steps and batch sizes.

  python -m benchmarks.sampling --subjects=quickstart
  python -m benchmarks.sampling --subjects=paper_text8 --steps=20 --batch_sizes=1
  python -m benchmarks.sampling --subjects=paper_argmax_autoregressive --batch_sizes=1 --lengths=64,128,256

A whole draw is one compiled program. A cell that would take longer than --limit_seconds, judged by the cell before it,
is left out and says so. Parameters are untrained, which costs the same.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from benchmarks.subjects import Dtype, describe_machine, experiment_of
from catgen.interfaces import PyTree, SampleOptions
from catgen.keys import example_keys
from catgen.reporting import terminal
from catgen.runs.command import Command
from catgen.runs.experiment import Experiment
from catgen.training.state import TrainState
from launch import cli


class Speed(NamedTuple):
  """A table of speeds, and what they were measured on."""

  rows: list[list[str]]
  heading: str


def sampling(
  *,
  subjects: Sequence[str] = ("quickstart", "quickstart_autoregressive"),
  steps: tuple[int, ...] = (1000, 100, 20),
  batch_sizes: tuple[int, ...] = (1, 64),
  lengths: tuple[int, ...] = (),
  repeats: int = 3,
  limit_seconds: float = 300.0,
  dtype: Dtype = "float32",
  say: Callable[[str], None] = print,
) -> Speed:
  """Measures how fast samples are drawn.

  Args:
    subjects: what to draw from; may be repeated.
    steps: numbers of reverse steps.
    batch_sizes: examples drawn together.
    lengths: positions of a sequence; default: the configuration's.
    repeats: draws that are timed.
    limit_seconds: longest draw that is tried.
    dtype: of the network's arithmetic.
    say: receives a line for each subject.
  """
  rows = []
  for name in subjects:
    for length in lengths or (None,):
      say(f"{name}{'' if length is None else f', {length} positions'}")
      made = experiment_of(name, length=length, dtype=dtype)
      rows += measure(name, made, batch_sizes, steps, repeats, limit_seconds)
  return Speed(rows, f"{describe_machine()}; dtype {dtype}, median of {repeats}")


def describe(speed: Speed) -> str:
  """Returns the table."""
  header = ["subject", "positions", "batch", "steps", "seconds", "ms/step", "positions/s"]
  return f"{speed.heading}\n{terminal.table(header, speed.rows)}"


def measure(
  name: str, made: Experiment, batch_sizes: Sequence[int], steps: Sequence[int], repeats: int, limit_seconds: float
) -> list[list[str]]:
  """Returns the rows of one subject, fewest steps first; only diffusion has a choice of them."""
  state, rows = made.init(), []
  size = made.example.x[0].size
  iterative = made.model.full_bound is not None
  for batch_size in batch_sizes:
    per_step = 0.0
    for number in sorted(steps) if iterative else [None]:
      if number and per_step * number > limit_seconds:
        skipped = f"left out (about {per_step * number:.0f} s)"
        rows.append([name, str(size), str(batch_size), str(number), skipped, "", ""])
        continue
      seconds = timed(made, state, batch_size, SampleOptions(num_steps=number), repeats)
      per_step = seconds / number if number else 0.0
      shown = [str(number), f"{seconds:.3f}", f"{1e3 * per_step:.1f}"] if number else ["", f"{seconds:.3f}", ""]
      rows.append([name, str(size), str(batch_size), *shown, f"{batch_size * size / seconds:,.0f}"])
  return rows


def timed(made: Experiment, state: TrainState, batch_size: int, options: SampleOptions, repeats: int) -> float:
  """Returns the median seconds of a compiled draw."""
  (run, _), keys = compiled(traced(made, batch_size, options)), keys_of(batch_size)
  seconds = []
  for _ in range(repeats):
    started = time.perf_counter()
    jax.block_until_ready(run(state.params, state.model_state, keys))
    seconds.append(time.perf_counter() - started)
  return sorted(seconds)[len(seconds) // 2]


def traced(made: Experiment, batch_size: int, options: SampleOptions) -> Any:
  """Returns the program (params, model_state, keys) -> categories of a draw, traced."""

  def draw(params: PyTree, state: PyTree, keys: Array) -> Array:
    return made.model.sample(params, keys, state=state, options=options).x

  return jax.jit(draw).trace(made.target.params, made.target.model_state, keys_of(batch_size))


def compiled(program: Any) -> tuple[Any, float]:
  """Returns a traced program compiled, and the seconds that it took."""
  started = time.perf_counter()
  return program.lower().compile(), time.perf_counter() - started


def keys_of(batch_size: int) -> Key[Array, "batch"]:
  """Returns a key for each example of a draw."""
  return example_keys(jax.random.key(0), jnp.arange(batch_size))


if __name__ == "__main__":
  sys.exit(cli.main(__doc__, None, Command(sampling, describe)))
