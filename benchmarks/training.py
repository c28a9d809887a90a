"""Training speed: seconds a step, positions a second, and FLOP/s of the matrix products.

  python -m benchmarks.training
  python -m benchmarks.training --subjects=paper_text8 --batch_size=32 --steps=5 --dtype=bfloat16

Each step is a whole one (draws, forward, backward, optimizer), timed by itself after compilation; the table has the
median, the fastest and the slowest.
"""

import time

import jax
import numpy as np
from absl import flags

from benchmarks.subjects import SUBJECTS, describe_machine, experiment_of
from catgen.reporting import terminal
from catgen.training.dry_run import describe
from catgen.training.sharding import place
from launch import cli

FLAGS = flags.FLAGS


def main() -> None:
  rows = [measure(name) for name in FLAGS.subjects]
  cli.say(f"{describe_machine()}; dtype {FLAGS.dtype}, {FLAGS.steps} steps each")
  header = ["subject", "parameters", "batch", "s/step", "fastest", "slowest", "positions/s", "GFLOP/s", "compile s"]
  cli.say(terminal.table(header, rows))


def measure(name: str) -> list:
  """Returns a row of the table."""
  made = experiment_of(name, batch_size=FLAGS.batch_size, dtype=FLAGS.dtype)
  batch = place(made.example, made.mesh)
  cost = describe(made.train_step, made.target, batch, made.key)
  state = made.init()
  started = time.perf_counter()
  state, _ = jax.block_until_ready(made.train_step(state, batch, made.key, 0))
  compiling, seconds = time.perf_counter() - started, []
  for step in range(1, FLAGS.steps + 1):
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


def define_flags() -> None:
  flags.DEFINE_multi_enum("subjects", ["quickstart", "modern", "paper_text8"], list(SUBJECTS), "what to train")
  flags.DEFINE_integer("batch_size", None, "examples a step; default: the configuration's")
  flags.DEFINE_integer("steps", 5, "steps that are timed")
  flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "of the network's arithmetic")


if __name__ == "__main__":
  define_flags()
  cli.run(main)
