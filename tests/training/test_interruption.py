"""Processes that are told to stop, or killed, and started again.

In the default suite tests/launch/test_processes.py kills a run, test_loop.py and test_several_processes.py stop some.
"""

import os
import random
import signal
import sys
import time

import jax
import numpy as np
import pytest

from catgen.training.checkpoint import checkpoint_steps
from catgen.training.restoring import restore_params
from tests.killing import run, run_and_signal

SCRIPT = os.path.join(os.path.dirname(__file__), "toy_run.py")
NUM_STEPS = 60


def command(workdir, **flags):
  flags = {"num_steps": NUM_STEPS, "checkpoint_every": 7, "step_seconds": 0.01} | flags
  return [sys.executable, SCRIPT, f"--workdir={workdir}", *(f"--{name}={value}" for name, value in flags.items())]


def goes_on_to_the_end_of_a_whole_run(workdir, whole):
  """Starts a run again, compares its end with that of another one that nothing interrupts, and returns its output."""
  output = run(command(workdir, whole=whole))
  ends = [restore_params(folder, NUM_STEPS) for folder in (workdir, whole)]
  for name in ("params", "ema", "model_state"):
    jax.tree.map(np.testing.assert_array_equal, *(getattr(end, name) for end in ends))
  return output


def kill_at_random(workdir, rng, mark):
  code, output, errors = run_and_signal(
    command(workdir), signal.SIGKILL, mark=f"step {mark} ", delay=rng.uniform(0.0, 0.15)
  )
  assert code == -signal.SIGKILL, output + errors
  return max([0, *checkpoint_steps(workdir)])


@pytest.mark.slow
def test_a_run_that_is_killed_then_told_to_stop_ends_with_the_same_bits(tmp_path):
  workdir = tmp_path / "interrupted"
  done = kill_at_random(workdir, random.Random(time.time_ns()), mark=20)
  code, output, errors = run_and_signal(command(workdir), signal.SIGTERM, mark="step 40 ")
  assert output.startswith(f"start {done}\n")
  assert (code, errors) == (143, ""), output
  stopped = checkpoint_steps(workdir)[-1]
  assert 40 <= stopped < NUM_STEPS
  assert output.endswith(f"end {stopped}\n")
  output = goes_on_to_the_end_of_a_whole_run(workdir, tmp_path / "whole")
  assert output.startswith(f"start {stopped}\n")
  assert f"end {NUM_STEPS}\nstart 0\n" in output


@pytest.mark.slow
def test_ten_kills_end_with_the_same_bits(tmp_path):
  rng, done = random.Random(time.time_ns()), 0
  for remaining in range(10, 0, -1):
    # A mark ahead of where the run stands, so that the kills spread over it: in steps, in saves, between them.
    done = kill_at_random(tmp_path / "killed", rng, mark=done + max(1, (NUM_STEPS - done) // (remaining + 1)))
  assert "corrupt" not in goes_on_to_the_end_of_a_whole_run(tmp_path / "killed", tmp_path / "whole")
