"""The text that the runs of these tests are trained on, and one such run a module."""

import numpy as np
import pytest

from launch import train
from tests.launch.tiny_run import tiny_config


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
