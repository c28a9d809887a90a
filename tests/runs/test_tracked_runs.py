"""What trackers are told of a run: by training its configuration and curves, by what comes later its results."""

import json
import shutil

import jax
import pytest

from catgen.interfaces import InputError
from catgen.reporting import trackers, tracking
from catgen.runs.train import train
from tests.reporting.test_tracking import Toy
from tests.tiny_run import plain_config


@pytest.fixture
def toy(monkeypatch):
  """A tracker under the name of a module that is there."""
  monkeypatch.setattr(Toy, "runs", {})
  monkeypatch.setitem(trackers.TRACKERS, "json", Toy)
  return Toy


def test_training_tells_its_configuration_and_its_curves(toy, plain_workdir, text, tmp_path):
  shutil.copytree(plain_workdir, tmp_path / "run")
  said, config = [], plain_config(text, **{"tracking.trackers": ("json",), "training.num_steps": 40})
  train(config, str(tmp_path / "run"), devices=jax.devices()[:1], say=said.append)
  assert "json: at run 0" in said
  told = toy.runs["run 0"]
  assert (told["name"], told["config"], told["closed"]) == ("run", config, True)
  assert {35, 40} == {step for step, values in told["numbers"] if "train/bits" in values}
  assert {40} == {step for step, values in told["numbers"] if "validation/bits" in values}


def test_a_tracker_that_is_not_there_is_refused_before_a_folder_is_made(text, tmp_path, monkeypatch):
  monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
  with pytest.raises(InputError, match=r"pip install 'catgen\[wandb\]', or leave it out by --config\.tracking"):
    train(plain_config(text, **{"tracking.trackers": ("wandb",)}), str(tmp_path / "run"))
  assert not list(tmp_path.iterdir())


def test_an_evaluation_is_told_to_the_trackers_of_its_run(toy, text_run, here, tmp_path):
  content = {"project": "p", "name": "n", "trackers": ["json"], "runs": {"json": {"id": "old"}}}
  (tmp_path / tracking.FILE_NAME).write_text(json.dumps(content))
  found = here(text_run).evaluate(split="validation", max_examples=8, num_replicates=1, say=lambda line: None)
  values, record, step = toy.runs["old"]["result"]
  assert values["results/validation/elbo/value"] == found.result["value"]
  assert (record, step) == (found.result, text_run.step)
