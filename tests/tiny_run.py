"""Runs of seconds, of text and of maps, which all tests of what users do share; and how to start a command."""

import fcntl
import os
import pathlib
import shutil
import sys

import numpy as np
import pytest

from tests.compiling import xla_flags

ROOT = pathlib.Path(__file__).parent.parent
SIZES = {
  "data.length": 16,
  "model.num_steps": 20,
  "model.network.width": 16,
  "model.network.num_layers": 1,
  "model.network.num_heads": 2,
  "training.batch_size": 8,
  "training.num_steps": 30,
  "training.report_every": 5,
  "training.validate_every": 10,
  "training.validation_examples": 32,
  "evaluation.batch_size": 8,
  "optimizer.kind": "adam",
  "optimizer.warmup_steps": 2,
}
MAP_SIZES = {
  "data.splits": (500, 50, 50),
  "model.process": "uniform",
  "model.schedule": "cosine",
  "training.batch_size": 16,
  "training.num_steps": 100,
  "training.validate_every": 50,
  "training.validation_samples": 4,
  "optimizer.learning_rate": 0.02,
}
PLAIN = {"model": "autoregressive", "model.network": "per_position"}
PLAIN |= {"model.network.width": 16, "model.network.output_width": 16}
OVERRIDES = [f"--config.{key}={value}" for key, value in SIZES.items()]


def quiet(line):
  """Says nothing."""


def tiny_config(text, **changes):
  """Diffusion of a text file, 16 characters at a time."""
  return _config("text_file", {"data.path": str(text), **SIZES, **changes})


def tiny_map_config(path, **changes):
  """Uniform diffusion on the maps of a .npy file, 600 of them, trained until it corrects more than it breaks."""
  sizes = {key: value for key, value in SIZES.items() if key != "data.length"}
  return _config("array_file", {"data.path": str(path), **sizes, **MAP_SIZES, **changes})


def plain_config(text, **changes):
  """The model of the same text whose programs are the smallest, for what training does with any model."""
  sizes = {key: value for key, value in SIZES.items() if not key.startswith("model.")}
  return _config("text_file", {"data.path": str(text), **PLAIN, **sizes, **changes})


def trained(config, folder):
  """Trains on one device, where a step costs least; that several do the same is shown in tests/launch."""
  import jax

  from catgen.runs.train import train

  assert train(config, str(folder), devices=jax.devices()[:1], say=quiet).exit_code == 0
  return str(folder)


def _trained_once(config, name, folders):
  """Returns a copy of the run that the first worker to need it trains, as if it were of this worker's own data."""
  from catgen.runs.record import read_record, write_record

  own, shared = folders.mktemp(name), folders.getbasetemp()
  if "PYTEST_XDIST_WORKER" in os.environ:
    shared = shared.parent
  with open(shared / f"{name}.lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not (finished := shared / f"{name}.shared").exists():
      pathlib.Path(trained(config, shared / f"{name}.begun")).rename(finished)
  shutil.copytree(finished, own, dirs_exist_ok=True)
  record = read_record(str(own))
  (own / "config.json").unlink()
  theirs, ours = record.config["data"]["path"], config["data"]["path"]
  told = {"config": {**record.config, "data": config["data"]}, "description": record.description.replace(theirs, ours)}
  write_record(str(own), record._replace(**told))
  return str(own)


def _config(name, changes):
  from catgen.config import load_config

  return load_config(name, changes).values


def words(path):
  """Writes a file of 8000 words in random order."""
  vocabulary = np.array(["the ", "cat ", "sat ", "on ", "a ", "mat "])
  path.write_text("".join(np.random.default_rng(0).choice(vocabulary, 8000)))
  return path


def map_ids(path):
  """Writes 600 maps of 8 x 8 in three categories: sky above a horizon, ground below, a block between, some noise."""
  rng = np.random.default_rng(0)
  x = np.zeros((600, 8, 8), np.uint8)
  for image, horizon, left in zip(x, rng.integers(2, 7, 600), rng.integers(0, 7, 600), strict=True):
    image[horizon:] = 1
    image[horizon - 1 : horizon + 1, left : left + 2] = 2
  np.save(path, np.where(rng.random(x.shape) < 0.02, rng.integers(0, 3, x.shape), x))
  return path


@pytest.fixture(scope="session")
def text(tmp_path_factory):
  return words(tmp_path_factory.mktemp("text") / "text.txt")


@pytest.fixture(scope="session")
def maps(tmp_path_factory):
  return map_ids(tmp_path_factory.mktemp("maps") / "maps.npy")


@pytest.fixture(scope="session")
def workdir(text, tmp_path_factory):
  """The work directory of a run of text; do not change it."""
  return _trained_once(tiny_config(text), "run", tmp_path_factory)


@pytest.fixture(scope="session")
def map_workdir(maps, tmp_path_factory):
  """The work directory of a run of maps; do not change it."""
  return _trained_once(tiny_map_config(maps), "map_run", tmp_path_factory)


@pytest.fixture(scope="session")
def plain_workdir(text, tmp_path_factory):
  """The work directory of a run of `plain_config`, which goes on in a second or two; do not change it."""
  return _trained_once(plain_config(text), "plain_run", tmp_path_factory)


@pytest.fixture(scope="session")
def text_run(workdir):
  """The last checkpoint of the run of text."""
  return _loaded(workdir)


@pytest.fixture(scope="session")
def map_run(map_workdir):
  """The last checkpoint of the run of maps."""
  return _loaded(map_workdir)


@pytest.fixture
def here(tmp_path):
  """Returns a run as if its work directory were this test's folder."""
  return lambda run: run._replace(workdir=str(tmp_path))


def _loaded(workdir):
  """Returns a run on one device, for which less is compiled; that eight do the same is shown in tests/launch."""
  import jax

  from catgen.runs.load import load

  return load(workdir, jax.devices()[:1], step="latest", say=quiet)


def command(script, *arguments):
  """Returns the words that start a command in a process of its own."""
  return [sys.executable, "-m", f"launch.{script}", *arguments]


def environment():
  """Returns its environment: one device."""
  return {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": xla_flags(num_devices=1)}
