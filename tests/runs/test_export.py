"""Exported models: the same as their runs, bit for bit, whole or not at all; what the folder says."""

import errno
import json
import os
import shutil
import subprocess

import numpy as np
import pytest
import safetensors.numpy

from catgen.interfaces import InputError
from catgen.models import MODELS
from catgen.runs.changes import Change
from catgen.runs.export import export
from catgen.runs.record import Ancestor
from catgen.runs.tensors import flat, packed, unpacked
from catgen.trees import leaves
from tests.runs.exports import (
  FAMILIES,
  FIRST,
  WORDS,
  like,
  made_up_run,
  num_parameters,
  on_one_device,
  resealed,
  same,
)
from tests.tiny_run import quiet


def test_every_family_has_a_member():
  assert {FAMILIES[name][0]["kind"] for name in FIRST} == set(MODELS)


@pytest.mark.parametrize(
  "name", [pytest.param(name, marks=[] if name in FIRST else [pytest.mark.slow]) for name in FAMILIES]
)
def test_every_family_comes_back_bit_for_bit(name, tmp_path):
  """The function of (parameters, state) is made from the same section, so its probabilities are the same too."""
  run = made_up_run(*FAMILIES[name], tmp_path)
  export(run, output=str(tmp_path / "whole"), say=quiet)
  found = on_one_device(tmp_path / "whole")
  same(found.params, run.params)
  same(found.state, run.state)
  assert (found.step, found.uses_ema, found.record.exported.num_parameters) == (7, False, num_parameters(run))
  assert found.record._replace(exported=None, started_in="") == run.record._replace(
    started_in="", codec=found.record.codec, config=found.record.config
  )
  assert found.record.config["model"] == run.record.config["model"]
  assert found.record.codec.spec == run.record.codec.spec


def test_numbers_and_samples_are_those_of_the_run(text_run, model_folder):
  found = like(on_one_device(model_folder), text_run)
  np.testing.assert_array_equal(found.score(WORDS).nats, text_run.score(WORDS).nats)
  np.testing.assert_array_equal(found.sample(3, seed=5, num_steps=5).x, text_run.sample(3, seed=5, num_steps=5).x)
  assert found.decode(found.sample(1).x[0]) == text_run.decode(text_run.sample(1).x[0])


def test_half_the_room_rounds_matrices_alone(text_run, tmp_path):
  export(text_run, output=str(tmp_path / "half"), dtype="bfloat16", say=quiet)
  found = like(on_one_device(tmp_path / "half"), text_run)
  for (path, whole), (_, half) in zip(leaves(text_run.params), leaves(found.params), strict=True):
    assert half.dtype == np.float32
    if whole.ndim > 1:
      np.testing.assert_allclose(half, whole, rtol=2**-8, err_msg=path)  # to the nearest of eight binary digits
      assert not np.array_equal(half, whole)
    else:
      np.testing.assert_array_equal(half, whole)
  same(found.state, text_run.state)
  bits, rounded = text_run.score(WORDS).bits, found.score(WORDS).bits
  np.testing.assert_allclose(rounded, bits, atol=0.02)
  assert not np.array_equal(rounded, bits)
  names = safetensors.numpy.load  # what others read: matrices in bfloat16 by their names
  with pytest.raises(KeyError, match="BF16"):
    names((tmp_path / "half" / "model.safetensors").read_bytes())


def test_other_programs_read_names_and_arrays(text_run, model_folder):
  found = safetensors.numpy.load_file(f"{model_folder}/model.safetensors")
  expected = {"params": text_run.params} | ({"model_state": text_run.state} if text_run.state else {})
  assert found.keys() == dict(leaves(expected)).keys()
  np.testing.assert_array_equal(found["params/stack/head/kernel"], dict(leaves(text_run.params))["stack/head/kernel"])
  done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=model_folder, check=False)
  assert done.returncode == 0


def test_the_card_has_what_is_said_and_what_is_known(text_run, workdir, tmp_path):
  (tmp_path / "said.md").write_text("Good at cats.\n")
  (tmp_path / "results.json").write_text(json.dumps([{"split": "test", "value": 1.25, "unit": "bits per character"}]))
  shutil.copy(f"{workdir}/metrics.jsonl", tmp_path)
  export(text_run._replace(folder=str(tmp_path)), output=str(tmp_path / "a"), card=str(tmp_path / "said.md"))
  card = (tmp_path / "a" / "card.md").read_text()
  assert card.startswith("# a\n\nGood at cats.\n")
  assert text_run.record.description.rpartition("/")[2] in card
  assert "| test | 1.2500 bits per character |" in card
  assert "seconds in all" in card
  assert on_one_device(tmp_path / "a").record.exported.training_seconds > 0
  assert json.loads((tmp_path / "a" / "results.json").read_text())[0]["value"] == 1.25
  export(text_run._replace(folder=str(tmp_path / "none")), output=str(tmp_path / "b"))
  assert "Nobody has said yet under which licence" in (tmp_path / "b" / "card.md").read_text()
  assert not (tmp_path / "b" / "results.json").exists()


def test_a_record_that_cannot_be_read_costs_its_part_of_the_card(text_run, tmp_path):
  (tmp_path / "results.json").write_text("x")
  told = []
  export(text_run._replace(folder=str(tmp_path)), output=str(tmp_path / "a"), say=told.append)
  assert len(told) == 1
  assert "the card goes without" in told[0]


def test_no_folder_of_the_machine_is_told(text_run, tmp_path):
  data = {**text_run.record.config["data"], "path": "/home/me/secret/text.txt", "separator": "/"}
  history = {
    "lineage": (Ancestor("fork", "/home/me/secret/runs/a", 3),),
    "changes": (Change(3, "data.schema", None, "/home/me/secret/schema.json"),),
  }
  record = text_run.record._replace(
    config={**text_run.record.config, "data": data},
    started_in="/home/me/secret",
    description="/home/me/secret/text.txt: 9 characters",
    **history,
  )
  told = {name: [each._asdict() for each in found] for name, found in history.items()}
  (tmp_path / "results.json").write_text(json.dumps([{"split": "test", **told}]))
  export(text_run._replace(record=record, folder=str(tmp_path)), output=str(tmp_path / "a"), say=quiet)
  assert not [path for path in (tmp_path / "a").iterdir() if b"secret" in path.read_bytes()]
  found = json.loads((tmp_path / "a" / "config.json").read_text())
  assert (found["config"]["data"]["path"], found["started_in"]) == ("text.txt", "")
  assert found["config"]["data"]["separator"] == "/"
  assert found["description"] == "text.txt: 9 characters"
  (result,) = json.loads((tmp_path / "a" / "results.json").read_text())
  for each in (found, result):
    assert each["lineage"][0]["workdir"] == "a"
    assert each["changes"][0] == {"step": 3, "key": "data.schema", "before": None, "after": "schema.json"}


def test_an_export_is_whole_or_not_there(text_run, model_copy, tmp_path, monkeypatch):
  output = tmp_path / "new"
  before = {path.name: path.read_bytes() for path in model_copy.iterdir()}
  with pytest.raises(InputError, match="holds an exported model already; choose another --output, or --force"):
    export(text_run, output=str(model_copy))
  monkeypatch.setattr(os, "fsync", _full)
  for folder in (output, model_copy):
    refused = f"^cannot write {folder}: No space left on device; free space or choose another --output$"
    with pytest.raises(InputError, match=refused):
      export(text_run, output=str(folder), force=True, dtype="bfloat16")
  monkeypatch.undo()
  assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]
  assert {path.name: path.read_bytes() for path in model_copy.iterdir()} == before
  export(text_run, output=str(model_copy), force=True, dtype="bfloat16")
  assert on_one_device(model_copy).record.exported.dtype == "bfloat16"
  assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]


def test_what_an_export_that_was_killed_has_left_is_cleared_and_an_only_model_given_back(text_run, model_copy):
  put_aside, begun = (model_copy.with_name(f".copy.123.{kind}") for kind in ("old", "tmp"))

  def left_by_another(say):
    with pytest.raises(InputError, match="holds an exported model already"):
      export(text_run, output=str(model_copy), say=say)
    return sorted(path.name for path in model_copy.parent.iterdir())

  model_copy.rename(put_aside)
  shutil.copytree(put_aside, begun)
  told = []
  assert left_by_another(told.append) == ["copy"]
  assert told == [f"an export to {model_copy} was killed; the model that it had put aside is given back"]
  same(on_one_device(model_copy).params, text_run.params)
  shutil.copytree(model_copy, put_aside)
  card = (model_copy / "card.md").read_bytes()
  (model_copy / "card.md").unlink()  # as where a store has moved a half of it
  assert left_by_another(pytest.fail) == [".copy.123.old", "copy"]
  (model_copy / "card.md").write_bytes(card)
  assert left_by_another(pytest.fail) == ["copy"]


def _full(file):
  raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_exported_model_is_exported_again(text_run, model_folder, tmp_path):
  export(on_one_device(model_folder), output=str(tmp_path / "again"), say=quiet)
  same(on_one_device(tmp_path / "again").params, text_run.params)


def test_what_a_model_loses_is_said_and_files_of_others_are_never_replaced(text_run, model_copy):
  for name in ("sampler.stablehlo", "programs.json"):
    (model_copy / name).write_text("a program")
  (model_copy / "card.md").write_text("Its data are public.")
  resealed(model_copy)
  (model_copy / ".git").mkdir()
  with pytest.raises(InputError, match=r"also holds \.git, no files of the exported model; move them"):
    export(text_run, output=str(model_copy), force=True, say=pytest.fail)
  (model_copy / ".git").rmdir()
  told = []
  export(text_run, output=str(model_copy), force=True, say=told.append)
  (line,) = [each for each in told if "which this one has not" in each]
  assert "had a person's words in its card, programs.json, sampler.stablehlo too" in line


def test_nothing_is_put_over_a_folder_of_something_else(text_run, tmp_path):
  (tmp_path / "mine").write_text("mine")
  with pytest.raises(InputError, match="is there already, and holds no exported model"):
    export(text_run, output=str(tmp_path), force=True)
  assert (tmp_path / "mine").exists()


def test_trees_that_would_come_back_as_others_are_refused():
  for tree in ({"a": [np.zeros(2)]}, {"a": {}, "b": np.zeros(2)}, {"a/b": np.zeros(2), "c": {}}):
    with pytest.raises(InputError, match="cannot be exported"):
      flat(tree)
  scalar = {"a": {0: np.float32(3), 1: np.zeros((2, 0), np.int32)}, "0": np.asarray(True)}
  same(unpacked(packed(flat(scalar), {})), scalar)
