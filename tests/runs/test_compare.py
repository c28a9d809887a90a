"""Runs side by side: seeds share a row, a flow says what share of its codes means nothing."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from catgen.evaluation import results
from catgen.interfaces import InputError
from catgen.runs import compare
from catgen.runs.compare import Evaluations
from catgen.runs.evaluate import evaluate
from catgen.runs.load import load
from catgen.runs.record import read_record, write_record
from tests.tiny_run import quiet, tiny_config, trained

EACH = {"kind": "per_position", "width": 8, "output_width": 8}
DENSITY = {"kind": "coupling", "num_layers": 1, "num_mixtures": 0, "conditioner": EACH}
FLOW = {"kind": "argmax_flow", "base": 2, "encoder": {"kind": "none"}, "density": DENSITY}


def evaluated(run, workdir, **options):
  """Evaluates a run as that of another work directory: seeds then share their programs."""
  run = run._replace(workdir=str(workdir), record=read_record(str(workdir)))
  return evaluate(run, max_examples=16, num_replicates=2, **options)


@pytest.fixture(scope="module")
def folder(text, workdir, text_run, tmp_path_factory):
  """A run of two seeds, the second one by its record alone, and a flow."""
  folder, record = tmp_path_factory.mktemp("runs"), read_record(workdir)
  for seed in (0, 1):
    shutil.copytree(workdir, folder / f"diffusion.{seed}", ignore=shutil.ignore_patterns("config.json"))
    write_record(str(folder / f"diffusion.{seed}"), record._replace(config={**record.config, "seed": seed}))
    evaluated(text_run, folder / f"diffusion.{seed}")
  flow = trained({**tiny_config(text, **{"training.num_steps": 10}), "model": FLOW}, folder / "flow")
  evaluated(load(flow, say=quiet), flow)
  return folder


def test_runs_stand_side_by_side(folder):
  workdirs = (str(folder / "diffusion.*"), str(folder / "flow"))
  compared = compare.compare(workdirs=workdirs, sampling_repeats=2, output=str(folder / "table"))
  first, second = json.loads((folder / "table.json").read_text())
  assert (first["name"], first["seeds"], first["estimator"]) == ("diffusion", 2, "elbo")
  assert (first["difference"], first["difference_error"]) == (0.0, 0.0)
  assert (second["name"], second["family"], second["seeds"]) == ("flow", "argmax_flow", 1)
  assert second["difference"] == pytest.approx(second["bits"] - first["bits"])
  assert second["seed_error"] is None
  assert second["monte_carlo_error"] > 0
  (evaluated_at,) = {record["step"] for record in results.read_results(folder / "flow")}
  assert second["training_positions"] == evaluated_at * 8 * 16
  assert second["training_seconds"] > 0
  assert second["sampling_seconds"] > 0
  assert 0 <= second["invalid"]["positions"] <= 1
  assert first["invalid"] is None
  assert "sampled characters mean no category" in compare.describe(compared)
  assert compared.pictures == (str(folder / "table.png"),)
  assert Image.open(folder / "table.png").size[0] > 800


def test_mistakes_are_one_line(folder):
  with pytest.raises(InputError, match="nothing to compare"):
    compare.compare()
  with pytest.raises(InputError, match=r"no folder '.*nowhere\*'"):
    compare.compare(workdirs=(str(folder / "nowhere*"),))
  with pytest.raises(InputError, match=r"no evaluation of the split 'test' by iwbo; run launch\.evaluate"):
    compare.compare(workdirs=(str(folder / "flow"),), estimator="iwbo")
  with pytest.raises(InputError, match="pretrained/streets has no evaluation of the split 'train'"):
    compare.compare(workdirs=("pretrained/streets",), split="train")


def test_other_examples_are_refused_before_samples_are_timed(folder, tmp_path, monkeypatch):
  shutil.copytree(folder / "flow", tmp_path / "other")
  path = tmp_path / "other" / "results.json"
  path.write_text(path.read_text().replace('"data_fingerprint": "', '"data_fingerprint": "0'))
  monkeypatch.setattr(compare, "sample_seconds", lambda *_: pytest.fail("a sample was drawn"))
  with pytest.raises(InputError, match="not evaluated on the same examples"):
    compare.compare(workdirs=(str(folder / "diffusion.0"), str(tmp_path / "other")))


@pytest.mark.slow  # that none is there is a line above
def test_a_seed_that_lacks_an_evaluation_is_named(folder, text_run, tmp_path):
  for seed in (0, 1):
    shutil.copytree(folder / f"diffusion.{seed}", tmp_path / f"diffusion.{seed}")
  assert evaluated(text_run, tmp_path / "diffusion.0", estimator="full").result["estimator"] == "full"
  with pytest.raises(InputError, match=r"diffusion\.1 has no evaluation by full with \d draw.*another seed"):
    compare.compare(workdirs=(str(tmp_path / "*"),))


def test_models_of_the_same_name_are_told_apart_by_their_folders():
  def group(*folders):
    return [Evaluations(folder, None, {}) for folder in folders]

  assert compare.labels_of([group("a/x.0", "a/x.1"), group("a/y")]) == ["x", "y"]
  assert compare.labels_of([group("a/x"), group("b/x")]) == ["a/x", "b/x"]


def test_models_of_maps_are_pictured_side_by_side(map_run, tmp_path):
  path = tmp_path / "both_samples.png"
  compare.draw_samples(str(path), ["one", "another"], [map_run, map_run], "test", 3)
  picture = np.asarray(Image.open(path))
  columns = np.flatnonzero((picture[100:500] != 255).any(axis=(0, 2)))
  assert (np.diff(columns) > 20).sum() == 2  # three columns of maps
