"""Sampling speed: seconds and positions a second for several numbers of steps and batch sizes.

  python -m benchmarks.sampling --subjects=quickstart
  python -m benchmarks.sampling --subjects=paper_text8 --steps=20 --batch_sizes=1
  python -m benchmarks.sampling --subjects=paper_argmax_autoregressive --batch_sizes=1 --lengths=64,128,256

A whole draw is one compiled program. A cell that would take longer than --limit_seconds, judged by the cell before it,
is left out and says so. Parameters are untrained, which costs the same.
"""

import time

import jax
import jax.numpy as jnp
from absl import flags

from benchmarks.subjects import SUBJECTS, describe_machine, experiment_of
from catgen.runs.experiment import Experiment
from catgen.interfaces import SampleOptions
from catgen.keys import example_keys
from catgen.reporting import terminal
from catgen.training.state import TrainState
from launch import cli

FLAGS = flags.FLAGS


def main() -> None:
  lengths = [int(length) for length in FLAGS.lengths] or [None]
  rows = [row for name in FLAGS.subjects for length in lengths for row in measure(name, length)]
  cli.say(f"{describe_machine()}; dtype {FLAGS.dtype}, median of {FLAGS.repeats}")
  cli.say(terminal.table(["subject", "positions", "batch", "steps", "seconds", "ms/step", "positions/s"], rows))


def measure(name: str, length: int | None = None) -> list[list]:
  """Returns the rows of one subject, fewest steps first; only diffusion has a choice of them."""
  made = experiment_of(name, length=length, dtype=FLAGS.dtype)
  state, rows = made.init(), []
  size = made.example.x[0].size
  iterative = made.model.full_bound is not None
  for batch_size in map(int, FLAGS.batch_sizes):
    per_step = 0.0
    for steps in sorted(map(int, FLAGS.steps)) if iterative else [None]:
      if steps and per_step * steps > FLAGS.limit_seconds:
        rows.append(
          [name, str(size), str(batch_size), str(steps), f"left out (about {per_step * steps:.0f} s)", "", ""]
        )
        continue
      seconds = timed(made, state, batch_size, SampleOptions(num_steps=steps))
      per_step = seconds / steps if steps else 0.0
      shown = [str(steps), f"{seconds:.3f}", f"{1e3 * per_step:.1f}"] if steps else ["", f"{seconds:.3f}", ""]
      rows.append([name, str(size), str(batch_size), *shown, f"{batch_size * size / seconds:,.0f}"])
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
  flags.DEFINE_list("batch_sizes", ["1", "64"], "examples drawn together")
  flags.DEFINE_list("lengths", [], "positions of a sequence; default: the configuration's")
  flags.DEFINE_integer("repeats", 3, "draws that are timed")
  flags.DEFINE_float("limit_seconds", 300.0, "longest draw that is tried")
  flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "of the network's arithmetic")


if __name__ == "__main__":
  define_flags()
  cli.run(main)
