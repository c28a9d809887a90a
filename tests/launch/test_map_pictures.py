"""Maps: training, sampling and evaluation leave pictures in the work directory and in TensorBoard."""

import os
import pathlib
import re
import types

import numpy as np
import pytest
from PIL import Image

from catgen import build, experiment
from catgen.interfaces import InputError, SampleOptions
from launch import compare, evaluate, pictures, sample, train
from tests.launch.tiny_run import tiny_config, tiny_map_config
from tests.reporting.test_writers import events

OPTIONS = SampleOptions(num_steps=5)


def shown(folder):
  """Returns (step, name) of all pictures in the TensorBoard of a work directory."""
  files = sorted((pathlib.Path(folder) / "tensorboard" / "pictures").iterdir())
  return [(event.step, value.tag) for file in files for event in events(file) for value in event.summary.value]


@pytest.fixture(scope="module")
def pictured_workdir(maps, tmp_path_factory):
  folder = str(tmp_path_factory.mktemp("pictured_run"))
  sizes = {"training.num_steps": 4, "training.validate_every": 2, "training.validation_samples": 4}
  train.run(tiny_map_config(maps, **sizes, **{"sampling.num_steps": 5}), folder)
  return folder


@pytest.fixture(scope="module")
def run(pictured_workdir):
  return build.load(pictured_workdir, say=lambda line: None)


def test_training_pictures_samples_at_validations(pictured_workdir):
  assert shown(pictured_workdir) == [(2, "validation_samples"), (4, "validation_samples")]
  assert Image.open(os.path.join(pictured_workdir, "validation_samples.png")).size[0] > 300


def test_samples_are_pictured_without_asking(run, tmp_path, capsys):
  output = tmp_path / "samples.npy"
  paths = sample.draw(run, str(tmp_path), OPTIONS, num_samples=4, batch_size=4, seed=0, output=str(output))
  assert paths == [str(tmp_path / "samples.png")]
  assert np.load(output).shape == (4, 8, 8)
  assert shown(tmp_path) == [(run.step, "samples")]
  sample.draw(run, str(tmp_path), OPTIONS, num_samples=4, batch_size=4, seed=0)
  assert re.search(r"4 maps of 8 x 8 pixels: \d \d+\.\d%, \d \d+\.\d%, \d \d+\.\d%\n", capsys.readouterr().out)


def test_chain_and_comparison_are_pictured(run, tmp_path, capsys):
  options, source = OPTIONS._replace(num_frames=4), build.source_of(run.record)
  paths = sample.draw(run, str(tmp_path), options, num_samples=4, batch_size=4, seed=0, source=source)
  names = ["samples.png", "samples_beside_data.png", "statistics.png", "chain.png", "chain.gif"]
  assert [os.path.basename(path) for path in paths] == names
  assert Image.open(tmp_path / "chain.gif").n_frames == 4
  assert [name for _, name in shown(tmp_path)] == [name.split(".")[0] for name in names]
  printed = capsys.readouterr().out
  for direction in ("to the right", "below"):
    assert re.search(rf"pairs {direction}: divergence from training, bits +0\.\d+ +0\.\d+ +0\.0000", printed)


def test_comparison_of_the_data_with_themselves_finds_no_difference(run):
  source = build.source_of(run.record)
  train = experiment.examples_of(source, "train")
  table = sample.comparison(run, sample.compared_sets(run, train, source))
  for row in ("categories", "pairs to the right", "pairs below"):
    found = re.search(rf"{row}: divergence.*?bits +(\S+) +(\S+) +(\S+)", table).groups()
    assert found[0] == found[2] == "0.0000" != found[1]
  assert "words" not in table


def test_evaluation_pictures_samples_beside_data_unless_it_should_not(run, tmp_path, capsys):
  source = build.source_of(run.record)
  settings = {**run.record.config["evaluation"], "estimator": "full", "max_examples": 4, "num_replicates": 1}
  evaluate.evaluate(run, str(tmp_path / "none"), source, {**settings, "pictures": False})
  assert not (tmp_path / "none" / "tensorboard").exists()
  assert (tmp_path / "none" / "anatomy_test.png").exists()
  capsys.readouterr()
  evaluate.evaluate(run, str(tmp_path / "all"), source, settings)
  assert shown(tmp_path / "all") == [(run.step, "anatomy_test"), (run.step, "samples_beside_test")]
  assert Image.open(tmp_path / "all" / "samples_beside_test.png").size[0] > 400
  assert (
    "drawing 8 samples in sampling.num_steps = 5 network calls for a picture (--pictures=false leaves it out)"
    in capsys.readouterr().out
  )


def test_mistakes_with_pictures_in_training_are_found_before_it(text, maps):
  asked = {"training.validation_samples": 2}
  with pytest.raises(InputError, match=r"validation_samples is 2, but examples have shape \(16,\) and are no maps"):
    experiment.make_sampler(experiment.make_experiment(tiny_config(text, **asked)))
  config = tiny_map_config(maps, **asked, **{"sampling.num_steps": 1000})
  with pytest.raises(InputError, match="num_steps is 1000"):
    experiment.make_sampler(experiment.make_experiment(config))
  made = experiment.make_experiment(tiny_map_config(maps, **asked))
  source = made.source._replace(splits={"train": made.source.splits["train"]})
  with pytest.raises(InputError, match="but the data have no split 'validation'; set it to 0"):
    experiment.make_sampler(made._replace(source=source))


def test_what_means_no_category_is_marked():
  x, valid = np.array([[[0, 1]]]), np.array([[[True, False]]])
  assert pictures.marked(x, valid).tolist() == [[[0, -1]]]


def test_models_are_pictured_side_by_side(run, tmp_path, monkeypatch, capsys):
  flags = types.SimpleNamespace(split="test", num_maps=3, output=str(tmp_path / "both"))
  monkeypatch.setattr(compare, "FLAGS", flags)
  compare.draw_maps(["one", "another"], [run, run])
  assert f"samples of all models are in {tmp_path}/both_samples.png" in capsys.readouterr().out
  picture = np.asarray(Image.open(tmp_path / "both_samples.png"))
  columns = np.flatnonzero((picture[100:500] != 255).any(axis=(0, 2)))
  assert (np.diff(columns) > 20).sum() == 2  # three columns of maps
