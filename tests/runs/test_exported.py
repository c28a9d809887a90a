"""Exported models read where a work directory is: without the data, and never written into."""

import json
import pathlib
import shutil

import jax
import jax.export
import pytest

import catgen
from catgen.interfaces import InputError
from catgen.paths import name_of
from catgen.runs import exported
from catgen.runs.compare import compare
from catgen.runs.compare import describe as describe_comparison
from catgen.runs.export import describe, export
from catgen.runs.fork import fork
from catgen.runs.initial import check_there, split_step
from catgen.runs.load import load
from catgen.runs.ls import ls
from catgen.runs.train import train
from catgen.runs.watch import new_checkpoints
from tests.runs.exports import like, num_parameters, on_one_device, same
from tests.tiny_run import quiet, tiny_config


def test_all_is_used_without_the_data(text_run, model_folder, text, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  before = {path: path.read_bytes() for path in pathlib.Path(model_folder).iterdir()}
  found = like(on_one_device(model_folder), text_run)
  hidden = text.with_suffix(".hidden")
  text.rename(hidden)
  try:
    assert found.infill(text="the #at", hole="#", num_samples=2, num_steps=5).x.shape == (2, 16)
    assert len(found.decode(found.correct("the cet").x)) == 7
    with pytest.raises(InputError, match=r'does not exist.* data="PATH" of catgen.load says where'):
      found.evaluate()
  finally:
    hidden.rename(text)
  found = like(on_one_device(model_folder, data=[str(text)]), text_run)
  evaluated = found.evaluate(split="validation", max_examples=8, num_replicates=1)
  (outputs,) = (tmp_path / "outputs").iterdir()
  assert outputs.name.startswith("tiny-")
  assert evaluated.path == f"outputs/{outputs.name}/results.json"
  assert {path: path.read_bytes() for path in pathlib.Path(model_folder).iterdir()} == before


def test_a_comparison_finds_what_was_written_elsewhere(text_run, model_folder, text, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  found = like(on_one_device(model_folder, data=[str(text)]), text_run)
  evaluated = found.evaluate(split="validation", max_examples=8, num_replicates=2)
  compared = compare(
    workdirs=(model_folder,),
    split="validation",
    data=[str(text)],
    sampling_repeats=0,
    num_maps=0,
    output="compared",
    say=quiet,
  )
  assert f"{evaluated.result['value']:.4f}" in describe_comparison(compared)


def test_pictures_of_an_exported_model_lie_below_the_current_folder(map_run, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  export(map_run, output="models/maps", say=quiet)
  found = like(on_one_device("models/maps"), map_run)
  (path,) = found.sample(2, pictures=True, num_steps=2, seed=1).pictures
  assert path.startswith("outputs/maps-")
  assert pathlib.Path(path).exists()


def test_only_what_was_exported_is_there(model_folder, text_run, tmp_path):
  assert [on_one_device(model_folder, step=step).step for step in ("best", "latest", text_run.step)] == [
    text_run.step
  ] * 3
  with pytest.raises(InputError, match="holds the parameters of step 30, not of 7; leave --step out"):
    on_one_device(model_folder, step=7)
  averaged = str(tmp_path / "averaged")
  told = describe(export(text_run._replace(uses_ema=True), output=averaged))
  assert told.startswith(f"{num_parameters(text_run):,} averaged parameters of step 30")
  assert on_one_device(averaged).uses_ema
  assert not on_one_device(model_folder, ema=False).uses_ema
  with pytest.raises(InputError, match="holds the moving average of the parameters alone"):
    on_one_device(averaged, ema=False)


def test_each_file_is_read_once(model_folder, text, tmp_path, monkeypatch):
  read, original = [], exported.read_bytes
  monkeypatch.setattr(exported, "read_bytes", lambda path: read.append(name_of(path)) or original(path))
  on_one_device(model_folder)
  assert read.count("model.safetensors") == 1
  read.clear()
  config = tiny_config(text, **{"training.num_steps": 0, "optimizer.warmup_steps": 0})
  train(config, str(tmp_path / "run"), devices=jax.devices()[:1], init_from=model_folder, say=quiet)
  assert read.count("model.safetensors") == 1


def test_evaluations_are_those_it_brought_and_those_made_here(model_copy, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  brought, made = ({"split": "test", "value": value} for value in (1.5, 1.25))
  for place, record in ((str(model_copy), brought), (exported.written_in(str(model_copy)), made)):
    pathlib.Path(place).mkdir(parents=True, exist_ok=True)
    (pathlib.Path(place) / "results.json").write_text(json.dumps([record]))
  assert exported.evaluations(str(model_copy)) == [brought, made]


def test_it_is_begun_from_and_not_gone_on_with(text, model_folder, tmp_path):
  config = tiny_config(text, **{"training.num_steps": 0, "optimizer.warmup_steps": 0})
  told = []
  train(config, str(tmp_path / "run"), devices=jax.devices()[:1], init_from=model_folder, say=told.append)
  assert any(line.startswith("took ") and f"from {model_folder}, checkpoint 30" in line for line in told)
  with pytest.raises(InputError, match="holds an exported model, which is not trained on"):
    train(config, model_folder, say=quiet)
  with pytest.raises(InputError, match="of step 30, not of 7"):
    check_there(f"{model_folder}@7")
  with pytest.raises(InputError, match=r"without its optimizer; begin from its parameters by launch.train --init_from"):
    fork(str(tmp_path / "fork"), origin=model_folder)
  with pytest.raises(InputError, match="leave --watch out"):
    next(new_checkpoints(model_folder, 0.0))
  (listed,) = ls(folder=model_folder).runs
  assert (listed.state, listed.step, listed.family) == ("exported", 30, "diffusion")


@pytest.fixture
def package(model_folder, tmp_path, monkeypatch):
  """The package as if two models were part of it; the current folder is empty."""
  for name in ("text_masked", "text_autoregressive"):
    shutil.copytree(model_folder, tmp_path / "package" / "pretrained" / name)
  monkeypatch.setattr(exported.importlib.resources, "files", lambda _: tmp_path / "package")
  (tmp_path / "here").mkdir()
  monkeypatch.chdir(tmp_path / "here")
  return tmp_path / "package" / "pretrained"


def test_models_of_the_package_are_found_by_name(package, text_run, model_copy):
  same(on_one_device("pretrained/text_masked").params, text_run.params)
  assert catgen.load.__wrapped__ is load
  assert split_step("pretrained/text_masked@30") == (str(package / "text_masked"), 30)
  with pytest.raises(InputError, match=r"no model pretrained/text_maskd; there are pretrained/text_masked, "):
    load("pretrained/text_maskd")
  for name in ("zzz", "text"):  # all of them, however near
    with pytest.raises(InputError, match=r"there are pretrained/text_\w+, pretrained/text_\w+$"):
      load(f"pretrained/{name}")
  shutil.copytree(model_copy, "pretrained/mine")
  assert on_one_device("pretrained/mine").folder == "pretrained/mine"
  shutil.rmtree(package)
  with pytest.raises(InputError, match="this package holds none"):
    load("pretrained/text_masked")


def test_models_of_the_package_are_whole():
  for folder in exported.shipped().values():
    exported.verify(folder)
