"""The text and the maps that the runs of these tests are trained on, and one such run of each."""

import numpy as np
import pytest

from launch import train
from tests.launch.tiny_run import tiny_config, tiny_map_config


@pytest.fixture(scope="module")
def text(tmp_path_factory):
  path = tmp_path_factory.mktemp("text") / "text.txt"
  words = np.array(["the ", "cat ", "sat ", "on ", "a ", "mat "])
  path.write_text("".join(np.random.default_rng(0).choice(words, 8000)))
  return path


@pytest.fixture(scope="module")
def workdir(text, tmp_path_factory):
  folder = str(tmp_path_factory.mktemp("run"))
  assert train.run(tiny_config(text), folder).exit_code == 0
  return folder


@pytest.fixture(scope="session")
def maps(tmp_path_factory):
  """A file of maps of 8 x 8 in three categories: sky above a horizon, ground below it, a block between, some noise."""
  path, rng = tmp_path_factory.mktemp("maps") / "maps.npy", np.random.default_rng(0)
  x = np.zeros((600, 8, 8), np.uint8)
  for image, horizon, left in zip(x, rng.integers(2, 7, 600), rng.integers(0, 7, 600), strict=True):
    image[horizon:] = 1
    image[horizon - 1 : horizon + 1, left : left + 2] = 2
  np.save(path, np.where(rng.random(x.shape) < 0.02, rng.integers(0, 3, x.shape), x))
  return path


@pytest.fixture(scope="session")
def map_workdir(maps, tmp_path_factory):
  folder = str(tmp_path_factory.mktemp("map_run"))
  assert train.run(tiny_map_config(maps), folder).exit_code == 0
  return folder
