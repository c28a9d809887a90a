"""Processes that are told to stop, or killed, and started again."""

import os
import random
import signal
import sys
import time

import jax
import numpy as np
import pytest

from catgen.training.checkpoint import checkpoint_steps, restore_params
from tests.killing import run, run_and_signal

SCRIPT = os.path.join(os.path.dirname(__file__), "toy_run.py")
NUM_STEPS = 60


def command(workdir, **flags):
  flags = {"num_steps": NUM_STEPS, "checkpoint_every": 7, "step_seconds": 0.01} | flags
  return [sys.executable, SCRIPT, f"--workdir={workdir}", *(f"--{name}={value}" for name, value in flags.items())]


def assert_same_end(workdir, other):
  ends = [restore_params(folder, NUM_STEPS) for folder in (workdir, other)]
  for name in ("params", "ema", "model_state"):
    jax.tree.map(np.testing.assert_array_equal, *(getattr(end, name) for end in ends))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("uninterrupted")
  run(command(workdir))
  return workdir


def test_sigterm_saves_and_the_run_goes_on_bit_for_bit(uninterrupted, tmp_path):
  code, output, errors = run_and_signal(command(tmp_path), signal.SIGTERM, mark="step 20 ")
  assert code == 143, output + errors
  assert errors == ""
  stopped = checkpoint_steps(tmp_path)[-1]
  assert 20 <= stopped < NUM_STEPS
  assert output.splitlines()[-1] == f"end {stopped}"
  assert f"start {stopped}\n" in run(command(tmp_path))
  assert_same_end(tmp_path, uninterrupted)


def kill_repeatedly(workdir, kills, seed):
  """Kills a run at random moments, in steps and in saves, starting it again each time, and lets the last one end."""
  rng, done = random.Random(seed), 0
  for remaining in range(kills, 0, -1):
    # A mark ahead of where it stands, so that the kills spread over the run.
    mark = done + max(1, (NUM_STEPS - done) // (remaining + 1))
    code, output, errors = run_and_signal(
      command(workdir), signal.SIGKILL, mark=f"step {mark} ", delay=rng.uniform(0.0, 0.15)
    )
    assert code == -signal.SIGKILL, output + errors
    done = max([0, *checkpoint_steps(workdir)])
  assert "corrupt" not in run(command(workdir))


def test_a_killed_run_ends_with_the_same_bits(uninterrupted, tmp_path):
  kill_repeatedly(tmp_path, kills=1, seed=time.time_ns())
  assert_same_end(tmp_path, uninterrupted)


@pytest.mark.slow
def test_ten_kills_end_with_the_same_bits(uninterrupted, tmp_path):
  kill_repeatedly(tmp_path, kills=10, seed=time.time_ns())
  assert_same_end(tmp_path, uninterrupted)
