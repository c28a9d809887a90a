"""The same run on one device, on eight, in two processes, in microbatches, and killed: the real commands."""

import json
import pathlib
import shutil
import signal
import subprocess
import time

import jax
import numpy as np
import pytest

from catgen.runs.experiment import make_experiment
from catgen.runs.train import train
from catgen.training.checkpoint import checkpoint_steps, restore_params
from tests.addresses import free_address
from tests.tiny_run import ROOT, SIZES, command, environment, quiet, tiny_config

STEPS = 40
FIRST = 8  # steps whose losses are compared: rounding grows from step to step
# 128 wide, so that kernels are large enough to be spread over devices
CHANGES = {
  "model.network.width": 128,
  "training.batch_size": 16,
  "training.num_steps": STEPS,
  "training.report_every": 1,
  "training.validate_every": STEPS,
  "training.validation_examples": 8,
  "checkpoint.every": 10,
  "optimizer.decay": "constant",
}
SHORT = {"training.num_steps": FIRST, "training.validate_every": FIRST // 2}
SPREAD = {"mesh.data": 2, "mesh.fsdp": 4}


def losses(folder) -> np.ndarray:
  lines = [json.loads(line) for line in (pathlib.Path(folder) / "metrics.jsonl").read_text().splitlines()]
  return np.array([line["train/bits"] for line in lines if "train/bits" in line][:FIRST])


def training(text, folder, **changes):
  """Returns the words of a training command."""
  settings = {**SIZES, **CHANGES, **changes}
  arguments = ["--config=text_file", f"--config.data.path={text}", f"--workdir={folder}"]
  return command("train", *arguments, *(f"--config.{key}={value}" for key, value in settings.items()))


def start(words):
  return subprocess.Popen(
    words, env=environment(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
  )


def run_in_processes(text, folder, number=1, **changes):
  """Trains in that many fresh processes with one device each."""
  joined = [f"--coordinator={free_address()}", f"--num_processes={number}"] if number > 1 else []
  running = [
    start([*training(text, folder, **changes), *joined, *([f"--process_id={i}"] if joined else [])])
    for i in range(number)
  ]
  outputs = [process.communicate(timeout=300)[0] for process in running]
  assert [process.returncode for process in running] == [0] * number, outputs


@pytest.fixture(scope="module")
def alone(text, tmp_path_factory):
  folder = tmp_path_factory.mktemp("alone")
  run_in_processes(text, folder)
  assert len(losses(folder)) == FIRST
  return folder


@pytest.fixture(scope="module")
def spread(text, tmp_path_factory):
  """The work directory of a short run on eight devices, four of which share the parameters."""
  folder = tmp_path_factory.mktemp("spread")
  config = tiny_config(text, **{**CHANGES, **SHORT, **SPREAD, "training.num_microbatches": 2})
  specs = [leaf.sharding.spec for leaf in jax.tree.leaves(make_experiment(config).target.params)]
  assert any("fsdp" in str(spec) for spec in specs)
  assert train(config, str(folder), say=quiet).exit_code == 0
  return folder


def same_losses(folder, other):
  np.testing.assert_allclose(losses(folder), losses(other), rtol=2e-4)


def test_eight_devices_change_losses_by_rounding(alone, spread):
  same_losses(spread, alone)


@pytest.mark.slow
def test_a_run_on_eight_devices_goes_on_on_one(text, alone, spread, tmp_path):
  shutil.copytree(spread, tmp_path, dirs_exist_ok=True)
  shutil.rmtree(tmp_path / "checkpoints" / str(FIRST))
  assert checkpoint_steps(tmp_path) == [FIRST // 2]
  train(tiny_config(text, **{**CHANGES, **SHORT}), str(tmp_path), devices=jax.devices()[:1], say=quiet)
  same_losses(tmp_path, alone)


def kill_at_a_checkpoint(words, workdir, delay):
  """Runs a training command until there is a new checkpoint and `delay` seconds more, then kills it."""
  before, process = set(checkpoint_steps(workdir)), start(words)
  deadline = time.monotonic() + 300
  while process.poll() is None and not set(checkpoint_steps(workdir)) - before and time.monotonic() < deadline:
    time.sleep(0.02)
  time.sleep(delay)
  process.send_signal(signal.SIGKILL)
  output, _ = process.communicate()
  assert process.returncode == -signal.SIGKILL, output


def killed_and_whole(text, killed, whole, delays, **changes):
  """Trains a run with kills, and compares all its parameters bit by bit with those of one without."""
  for delay in delays:
    kill_at_a_checkpoint(training(text, killed, **changes), killed, delay)
    assert checkpoint_steps(killed)[-1] < {**CHANGES, **changes}["training.num_steps"]
  run_in_processes(text, killed, **changes)
  left, right = (restore_params(folder, "latest") for folder in (killed, whole))
  assert left.step == right.step
  jax.tree.map(np.testing.assert_array_equal, left.params, right.params)


def test_a_run_killed_and_restarted_ends_bit_identical(text, alone, tmp_path):
  killed_and_whole(text, tmp_path, alone, [0.05])


@pytest.mark.slow
def test_ten_kills_change_nothing(text, tmp_path):
  changes = {"training.num_steps": 3000, "model.network.width": 16}
  run_in_processes(text, tmp_path / "whole", **changes)
  delays = np.random.default_rng(1).uniform(0.0, 0.5, 10)
  killed_and_whole(text, tmp_path / "killed", tmp_path / "whole", delays, **changes)


@pytest.mark.slow
def test_two_processes_train_as_one(text, alone, tmp_path):
  run_in_processes(text, tmp_path / "run", number=2, **SHORT)
  same_losses(tmp_path / "run", alone)


@pytest.mark.slow
def test_data_parallel_on_eight_devices(text, alone, tmp_path):
  train(tiny_config(text, **{**CHANGES, **SHORT}), str(tmp_path), say=quiet)
  same_losses(tmp_path, alone)


@pytest.mark.slow
def test_four_microbatches(text, alone, tmp_path):
  run_in_processes(text, tmp_path / "run", **SHORT, **{"training.num_microbatches": 4})
  same_losses(tmp_path / "run", alone)
