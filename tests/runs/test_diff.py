"""Two runs told apart: keys, results paired where they can be, curves."""

import pathlib
import shutil

import pytest
from PIL import Image

from catgen.evaluation import results
from catgen.runs.diff import describe, diff
from catgen.runs.evaluate import evaluate
from catgen.runs.export import export
from catgen.runs.record import read_record, write_record
from tests.tiny_run import quiet


@pytest.fixture(scope="module")
def folder(workdir, text_run, tmp_path_factory):
  """A run and the same one with another seed and rate, evaluated on 16 and on 24 examples."""
  folder, record = tmp_path_factory.mktemp("runs"), read_record(workdir)
  for name, seed, number in (("a", 0, 16), ("b", 1, 24)):
    shutil.copytree(workdir, folder / name)
    config = {**record.config, "seed": seed, "optimizer": {**record.config["optimizer"], "learning_rate": 0.1 + seed}}
    write_record(str(folder / name), record._replace(config=config))
    run = text_run._replace(workdir=str(folder / name), record=read_record(str(folder / name)))
    evaluate(run, max_examples=number, num_replicates=2, seed=seed, say=quiet)
  evaluate(run, max_examples=8, num_replicates=2, split="validation", say=quiet)
  return folder


def told(folder, *names, tmp_path):
  return diff(
    workdirs=tuple(str(folder / name) for name in names), output=str(tmp_path / "curves.png"), say=pytest.fail
  )


def test_keys_results_and_curves_of_two_runs(folder, tmp_path):
  found = told(folder, "a", "b", tmp_path=tmp_path)
  assert [tuple(each) for each in found.settings] == [("optimizer.learning_rate", 0.1, 1.1), ("seed", 0, 1)]
  assert not found.facts
  both, alone = found.outcomes
  assert (both.name, alone.name, alone.first) == ("test, elbo, 4 draws", "validation, elbo, 4 draws", None)
  assert (both.paired, both.difference.num_examples) == (True, 16)
  (theirs,) = [each for each in results.read_results(folder / "b") if each["split"] == "test"]
  assert both.second == theirs
  assert both.difference.bits == pytest.approx(0.0, abs=0.5)
  assert 0 < both.difference.error < both.first["data_error"] + both.second["data_error"]
  with Image.open(found.picture) as picture:
    assert picture.size == (1200, 690)
  shown = describe(found)
  assert "data, code and history: the same" in shown
  assert "16 examples" in shown
  assert shown.endswith(f"curves: {found.picture}")


def test_damaged_lines_of_curves_are_left_out_and_said(folder, tmp_path):
  shutil.copytree(folder / "b", tmp_path / "b")
  path = tmp_path / "b" / "metrics.jsonl"
  path.write_text("garbage\n" + path.read_text())
  found = diff(workdirs=(str(folder / "a"), str(tmp_path / "b")), output=str(tmp_path / "c.png"), say=pytest.fail)
  assert found.notes == (f"line 1 of {path} is damaged, 1 in all: left out",)
  assert found.picture


def test_scores_that_are_not_there_leave_a_difference_that_is_not_paired(folder, tmp_path):
  shutil.copytree(folder / "b", tmp_path / "b", ignore=shutil.ignore_patterns("scores"))
  (both, _) = diff(workdirs=(str(folder / "a"), str(tmp_path / "b")), output=str(tmp_path / "c.png")).outcomes
  assert not both.paired
  assert both.difference.bits == pytest.approx(both.second["value"] - both.first["value"])
  assert both.difference.error == pytest.approx((both.first["data_error"] ** 2 + both.second["data_error"] ** 2) ** 0.5)


def test_an_exported_model_has_results_and_no_curves(folder, text_run, map_workdir, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  export(text_run._replace(folder=str(folder / "a")), output="model", say=quiet)
  found = diff(workdirs=(str(folder / "a"), "model"), output="curves.png", say=pytest.fail)
  assert found.notes == ("model has no loss curve: its folder has no metrics.jsonl",)
  assert [each.key for each in found.facts] == ["data", "exported"]  # where the data lie is not told
  assert found.outcomes[0].difference.bits == 0
  assert not found.outcomes[0].paired
  assert pathlib.Path("curves.png").exists()
  found = diff(workdirs=("model", map_workdir), output="more.png")
  assert found.unit == "bits per position"
  assert "bits per position do not compare" in found.notes[0]
  (only,) = found.outcomes
  assert (only.second, only.difference) == (None, None)
  assert "evaluation" in describe(found)
