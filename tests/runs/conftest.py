"""An exported model that the tests of this folder share."""

import pathlib
import shutil

import pytest

from catgen.runs.export import describe, export
from tests.runs.exports import num_parameters


@pytest.fixture(scope="session")
def model_folder(text_run, tmp_path_factory):
  """The run of text, exported; do not change it."""
  output = str(tmp_path_factory.mktemp("models") / "tiny")
  assert describe(export(text_run, output=output)).startswith(f"{num_parameters(text_run):,} parameters of")
  return output


@pytest.fixture
def model_copy(model_folder, tmp_path):
  """Returns a copy of it."""
  return pathlib.Path(shutil.copytree(model_folder, tmp_path / "copy"))
