"""Training leaves a record, goes on where it was, and refuses what does not fit."""

import json
import os
import pathlib
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from catgen.config import make_model, model_takes
from catgen.data.touching import touching_of
from catgen.interfaces import InputError
from catgen.runs.dry_run import describe, dry_run
from catgen.runs.experiment import make_experiment
from catgen.runs.record import check_definition, definition, read_record, record_of, write_record
from catgen.runs.train import train
from catgen.runs.validation import make_sampler
from catgen.training.checkpoint import checkpoint_steps
from tests.reporting.test_writers import events
from tests.tiny_run import plain_config, quiet, tiny_config, tiny_map_config


def shown(folder):
  """Returns (step, name) of all pictures in the TensorBoard of a work directory."""
  files = sorted((pathlib.Path(folder) / "tensorboard" / "pictures").iterdir())
  return [(event.step, value.tag) for file in files for event in events(file) for value in event.summary.value]


def test_training_leaves_a_record(workdir):
  names = set(os.listdir(workdir))
  assert {"config.json", "metrics.jsonl", "checkpoints", "tensorboard", "loss_curve.png"} <= names
  lines = [json.loads(line) for line in (pathlib.Path(workdir) / "metrics.jsonl").read_text().splitlines()]
  assert [line["step"] for line in lines if "validation/bits" in line] == [10, 20, 30]
  assert len([line for line in lines if "train/bits" in line]) == 6


def test_another_run_is_refused_and_settings_that_change_nothing_are_not(workdir, text, tmp_path):
  before = (pathlib.Path(workdir) / "config.json").read_text()
  with pytest.raises(InputError, match=r"holds another run: config\.model\.num_steps"):
    train(tiny_config(text, **{"model.num_steps": 7}), workdir)
  assert (pathlib.Path(workdir) / "config.json").read_text() == before
  copy = str(tmp_path / "copy")
  shutil.copytree(workdir, copy)
  again = train(tiny_config(text, **{"training.report_every": 7}), copy, devices=jax.devices()[:1])
  assert (again.step, again.interrupted, again.exit_code) == (30, False, 0)


def test_a_corrupt_newest_checkpoint_falls_back(plain_workdir, text, tmp_path):
  copy, said = tmp_path / "copy", []
  shutil.copytree(plain_workdir, copy)
  newest = checkpoint_steps(copy)[-1]
  for path in (copy / "checkpoints" / str(newest)).rglob("*"):
    if path.is_file() and path.stat().st_size > 200:
      path.write_bytes(path.read_bytes()[:100])
  assert train(plain_config(text), str(copy), devices=jax.devices()[:1], say=said.append).step == 30
  assert any("corrupt" in line for line in said)


@pytest.mark.slow
def test_a_work_directory_that_is_moved_away_is_made_anew_with_its_record(plain_workdir, text, tmp_path):
  here, there = shutil.copytree(plain_workdir, tmp_path / "run"), tmp_path / "elsewhere"
  said = []

  def say(line):
    said.append(line)
    if line.startswith("training "):
      here.rename(there)

  config = plain_config(text, **{"training.num_steps": 32})
  train(config, str(here), devices=jax.devices()[:1], say=say)
  assert [line for line in said if line.startswith("warning: ")] == [
    f"warning: {here} has lost its config.json, as if it was moved: written again, training goes on there"
  ]
  assert checkpoint_steps(here) == [32]
  assert (here / "config.json").read_bytes() == (there / "config.json").read_bytes()


def test_a_full_disk_is_one_line_and_loses_nothing(workdir, text, tmp_path, monkeypatch):
  copy = tmp_path / "copy"
  shutil.copytree(workdir, copy)

  def full(*_, **__):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(os, "replace", full)
  os.remove(copy / "config.json")
  with pytest.raises(InputError, match="No space left"):
    train(tiny_config(text), str(copy), say=quiet)
  assert checkpoint_steps(copy) == checkpoint_steps(workdir)


def test_training_pictures_samples_at_validations(map_workdir):
  assert shown(map_workdir) == [(50, "validation_samples"), (100, "validation_samples")]
  assert Image.open(pathlib.Path(map_workdir) / "validation_samples.png").size[0] > 300


def test_a_model_that_asks_what_touches_has_it_of_the_training_data_and_in_its_record(maps, tmp_path):
  config = tiny_map_config(maps, **{"model.process": "neighbors"})
  made = make_experiment(config)
  assert made.source.event.touching == touching_of(made.source.splits["train"], made.source.event.num_classes)
  assert made.source.event.frequencies is None
  write_record(str(tmp_path), record_of(config, made.source))
  again = read_record(str(tmp_path))
  assert again.event.touching == made.source.event.touching
  make_model(again.config["model"], again.event)  # without the data
  path = tmp_path / "config.json"
  content = json.loads(path.read_text())
  path.write_text(json.dumps({**content, "event": {**content["event"], "touching": [1.0]}}))
  with pytest.raises(InputError, match=r"event\.touching is \[1\.0\]; 3 numbers above 0, up to 1, are needed, or null"):
    read_record(str(tmp_path))


def test_a_model_that_asks_for_frequencies_has_them_of_the_training_data_and_in_its_record(text, tmp_path):
  assert not model_takes(tiny_config(text)["model"], "frequencies")
  config = tiny_config(text, **{"model.process": "unigram"})
  made = make_experiment(config)
  x = made.source.splits["train"].examples(np.arange(made.source.splits["train"].num_examples)).x
  counts = np.bincount(x.reshape(-1), minlength=made.source.event.num_classes) + 1
  np.testing.assert_allclose(made.source.event.frequencies, counts / counts.sum(), rtol=1e-12)
  record = record_of(config, made.source)
  write_record(str(tmp_path), record)
  again = read_record(str(tmp_path))
  check_definition(again, json.loads(json.dumps(definition(record))), 1, str(tmp_path))
  make_model(again.config["model"], again.event)  # without the data
  other = again._replace(event=again.event._replace(frequencies=None))
  with pytest.raises(InputError, match=r"event\.frequencies differs"):
    check_definition(other, json.loads(json.dumps(definition(record))), 1, str(tmp_path))


def test_mistakes_with_pictures_in_training_are_found_before_it(text, maps, tmp_path):
  asked = {"training.validation_samples": 2}
  with pytest.raises(InputError, match=r"validation_samples is 2, but examples are sequences of shape \(16,\)"):
    make_sampler(make_experiment(tiny_config(text, **asked)))
  for number in (2, 0):  # 0: they are only drawn when training has ended
    config = tiny_map_config(maps, **{"training.validation_samples": number, "sampling.num_steps": 1000})
    with pytest.raises(InputError, match=r"config\.sampling: num_steps is 1000, but this model has T = 20"):
      make_sampler(make_experiment(config))
  with pytest.raises(InputError, match=r"config\.sampling: num_steps is 1000"):
    train(config, workdir=str(tmp_path / "run"), say=quiet)
  assert not (tmp_path / "run").exists()
  made = make_experiment(tiny_map_config(maps, **asked))
  source = made.source._replace(splits={"train": made.source.splits["train"]})
  with pytest.raises(InputError, match="but the data have no split 'validation'; set it to 0"):
    make_sampler(made._replace(source=source))


def test_a_dry_run_counts_what_training_makes(text, text_run):
  found = dry_run(tiny_config(text))
  assert found.step.num_parameters == sum(np.size(leaf) for leaf in _leaves(text_run.params))
  assert found.positions == 8 * 16
  assert f"parameters    {found.step.num_parameters:,}\n" in describe(found)
  assert "3,840 characters in all" in describe(found)


def _leaves(tree):
  return [leaf for value in tree.values() for leaf in _leaves(value)] if isinstance(tree, dict) else [tree]
