"""The same run on one device, on eight, in two processes, in microbatches, and killed: the real commands."""

import json
import pathlib
import random
import shutil
import subprocess
import time
from functools import partial

import jax
import numpy as np
import pytest

from catgen.runs.experiment import make_experiment
from catgen.runs.train import train
from catgen.training.checkpoint import checkpoint_steps
from tests.addresses import free_address
from tests.faults import checks, moments, training_faults
from tests.faults.scene import Scene
from tests.faults.subjects import Subject
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


def test_a_run_killed_and_restarted_ends_bit_identical(text, alone, tmp_path):
  """A short draw of the faults that `python -m tests.faults` throws by the hundred."""
  seed = time.time_ns() % 1_000_000
  print(f"seed {seed}")
  subject = Subject("alone", "text_file", text, {**SIZES, **CHANGES})
  scene = Scene(subject, tmp_path / "disk", random.Random(seed))
  scene.whole = partial(checks.whole, scene, alone)
  try:
    training_faults.told_to_save(scene, moments.stepping)
    training_faults.kill(scene, scene.rng.choice([moments.saving, moments.deleting]))
    scene.finish()
  finally:
    scene.close()


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
