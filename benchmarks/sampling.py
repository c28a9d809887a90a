"""Sampling speed: seconds and characters a second for several numbers of steps and batch sizes.

  python -m benchmarks.sampling --subjects=quickstart
  python -m benchmarks.sampling --subjects=paper_text8 --steps=20 --batch_sizes=1

The whole chain is one compiled loop, so its time is proportional to the number of steps. A cell that would take longer
than --limit_seconds, judged by the cell before it, is left out and says so. Parameters are untrained, which costs the
same.
"""

import time

import jax
import jax.numpy as jnp
from absl import flags

from benchmarks.subjects import SUBJECTS, describe_machine, experiment_of
from catgen.experiment import Experiment
from catgen.interfaces import SampleOptions, example_keys
from catgen.reporting import text
from catgen.training.state import TrainState
from launch import cli

FLAGS = flags.FLAGS


def main() -> None:
  rows = [row for name in FLAGS.subjects for row in measure(name)]
  cli.say(f"{describe_machine()}; dtype {FLAGS.dtype}, median of {FLAGS.repeats}")
  cli.say(text.table(["subject", "batch", "steps", "seconds", "ms/step", "characters/s"], rows))


def measure(name: str) -> list[list]:
  """Returns the rows of one subject, fewest steps first."""
  made = experiment_of(name, dtype=FLAGS.dtype)
  state, rows = made.init(), []
  iterative = made.model.full_bound is not None
  for batch_size in map(int, FLAGS.batch_sizes):
    per_step = 0.0
    for steps in sorted(map(int, FLAGS.steps)) if iterative else [None]:
      if steps and per_step * steps > FLAGS.limit_seconds:
        rows.append([name, str(batch_size), str(steps), f"left out (about {per_step * steps:.0f} s)", "", ""])
        continue
      seconds = timed(made, state, batch_size, SampleOptions(num_steps=steps))
      moves = steps or made.example.x[0].size
      per_step = seconds / moves
      speed = batch_size * made.example.x[0].size / seconds
      rows.append([name, str(batch_size), str(moves), f"{seconds:.3f}", f"{1e3 * per_step:.1f}", f"{speed:,.0f}"])
  return rows


def timed(made: Experiment, state: TrainState, batch_size: int, options: SampleOptions) -> float:
  """Returns the median seconds of a compiled draw."""
  draw = jax.jit(lambda params, keys: made.model.sample(params, keys, state=state.model_state, options=options).x)
  keys = example_keys(jax.random.key(0), jnp.arange(batch_size))
  run = draw.lower(state.params, keys).compile()
  seconds = []
  for _ in range(FLAGS.repeats):
    started = time.perf_counter()
    jax.block_until_ready(run(state.params, keys))
    seconds.append(time.perf_counter() - started)
  return sorted(seconds)[len(seconds) // 2]


def define_flags() -> None:
  flags.DEFINE_multi_enum("subjects", ["quickstart", "quickstart_autoregressive"], list(SUBJECTS), "what to draw from")
  flags.DEFINE_list("steps", ["1000", "100", "20"], "numbers of reverse steps")
  flags.DEFINE_list("batch_sizes", ["1", "64"], "sequences drawn together")
  flags.DEFINE_integer("repeats", 3, "draws that are timed")
  flags.DEFINE_float("limit_seconds", 300.0, "longest draw that is tried")
  flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "of the network's arithmetic")


if __name__ == "__main__":
  define_flags()
  cli.run(main)
