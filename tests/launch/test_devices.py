"""The same run on one device, on eight, in two processes, and in microbatches: the real model through launch.train."""

import json
import pathlib
import shutil
import subprocess

import jax
import numpy as np
import pytest

from catgen import experiment
from catgen.training.checkpoint import checkpoint_steps
from launch import train
from tests.addresses import free_address
from tests.launch.tiny_run import ROOT, SIZES, command, environment, tiny_config

STEPS = 8
# 128 wide, so that kernels are large enough to be spread over devices
CHANGES = {
  "model.network.width": 128,
  "training.batch_size": 16,
  "training.num_steps": STEPS,
  "training.report_every": 1,
  "training.validate_every": 4,
  "training.validation_examples": 8,
}
SPREAD = {"mesh.data": 2, "mesh.fsdp": 4}


def losses(folder) -> np.ndarray:
  lines = [json.loads(line) for line in (pathlib.Path(folder) / "metrics.jsonl").read_text().splitlines()]
  return np.array([line["train/bits"] for line in lines if "train/bits" in line])


def run_in_processes(text, folder, number=1, **changes):
  """Trains in that many fresh processes with one device each."""
  settings = {**SIZES, **CHANGES, **changes}
  arguments = ["--config=configs/text_file.py", f"--config.data.path={text}", f"--workdir={folder}"]
  arguments += [f"--config.{key}={value}" for key, value in settings.items()]
  joined = [f"--coordinator={free_address()}", f"--num_processes={number}"] if number > 1 else []
  running = [
    subprocess.Popen(
      command("train", *arguments, *joined, *([f"--process_id={i}"] if joined else [])),
      env=environment(),
      cwd=ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )
    for i in range(number)
  ]
  outputs = [process.communicate(timeout=300)[0] for process in running]
  assert [process.returncode for process in running] == [0] * number, outputs


@pytest.fixture(scope="module")
def alone(text, tmp_path_factory):
  folder = tmp_path_factory.mktemp("alone")
  run_in_processes(text, folder)
  assert len(losses(folder)) == STEPS
  return folder


def same_losses(folder, other):
  np.testing.assert_allclose(losses(folder), losses(other), rtol=2e-4)


def test_eight_devices_change_losses_by_rounding_and_one_goes_on(text, alone, tmp_path):
  config = tiny_config(text, **CHANGES, **SPREAD, **{"training.num_microbatches": 2})
  specs = [leaf.sharding.spec for leaf in jax.tree.leaves(experiment.make_experiment(config).target.params)]
  assert any("fsdp" in str(spec) for spec in specs)
  train.run(config, str(tmp_path))
  same_losses(tmp_path, alone)
  shutil.rmtree(tmp_path / "checkpoints" / str(STEPS))
  assert checkpoint_steps(tmp_path) == [4]
  run_in_processes(text, tmp_path)
  same_losses(tmp_path, alone)


def test_two_processes_train_as_one(text, alone, tmp_path):
  run_in_processes(text, tmp_path / "run", number=2)
  same_losses(tmp_path / "run", alone)


@pytest.mark.slow
def test_data_parallel_on_eight_devices(text, alone, tmp_path):
  train.run(tiny_config(text, **CHANGES), str(tmp_path))
  same_losses(tmp_path, alone)


@pytest.mark.slow
def test_four_microbatches(text, alone, tmp_path):
  run_in_processes(text, tmp_path / "run", **{"training.num_microbatches": 4})
  same_losses(tmp_path / "run", alone)
