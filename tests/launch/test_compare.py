"""launch.compare on tiny runs: seeds share a row, a flow says what share of its codes means nothing."""

import json
import shutil
import types

import pytest
from PIL import Image

from catgen import build
from catgen.evaluation import results
from catgen.interfaces import InputError
from launch import compare, evaluate, train
from tests.launch.tiny_run import tiny_config

CONDITIONER = {"kind": "lstm", "hidden_width": 8, "width": 8, "time_width": 4, "lstm_width": 8, "num_layers": 1}
DENSITY = {"kind": "autoregressive", "num_mixtures": 2, "num_features": 8, "hidden_width": 8, "channel_features": 4}
FLOW = {
  "kind": "argmax_flow",
  "base": 2,
  "encoder": {"kind": "per_position", "width": 8, "output_width": 8},
  "density": {**DENSITY, "conditioner": CONDITIONER},
}


def evaluated(config, workdir):
  train.run(config, workdir)
  run = build.load(workdir, say=lambda line: None)
  settings = {**config["evaluation"], "max_examples": 16, "num_replicates": 2}
  evaluate.evaluate(run, workdir, build.source_of(run.record), settings)
  return workdir


def evaluated_once_more(workdir):
  run = build.load(workdir, say=lambda line: None)
  settings = {**run.record.config["evaluation"], "estimator": "full", "max_examples": 16, "num_replicates": 2}
  return evaluate.evaluate(run, workdir, build.source_of(run.record), settings)


@pytest.fixture(scope="module")
def folder(text, tmp_path_factory):
  folder = tmp_path_factory.mktemp("runs")
  for seed in (0, 1):
    evaluated({**tiny_config(text), "seed": seed}, str(folder / f"diffusion.{seed}"))
  evaluated({**tiny_config(text), "model": FLOW}, str(folder / "flow"))
  return folder


def flags_of(monkeypatch, folder, **changes):
  values = {
    "split": "test",
    "estimator": None,
    "sampling_repeats": 2,
    "num_maps": 2,
    "output": str(folder / "table"),
    **changes,
  }
  monkeypatch.setattr(compare, "FLAGS", types.SimpleNamespace(**values))


def test_runs_stand_side_by_side(folder, monkeypatch, capsys):
  flags_of(monkeypatch, folder, workdirs=[str(folder / "diffusion.*"), str(folder / "flow")])
  compare.main()
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
  assert "sampled characters mean no category" in capsys.readouterr().out
  assert Image.open(folder / "table.png").size[0] > 800


def test_mistakes_are_one_line(folder, monkeypatch):
  with pytest.raises(InputError, match="nothing to compare"):
    compare.workdirs([])
  with pytest.raises(InputError, match=r"no folder '.*nowhere\*'"):
    compare.workdirs([str(folder / "nowhere*")])
  flags_of(monkeypatch, folder, workdirs=[str(folder / "flow")], estimator="iwbo")
  with pytest.raises(InputError, match=r"no evaluation of the split 'test' by iwbo; run launch\.evaluate"):
    compare.main()


def test_a_seed_that_lacks_an_evaluation_is_named(folder, tmp_path, monkeypatch):
  for seed in (0, 1):
    shutil.copytree(folder / f"diffusion.{seed}", tmp_path / f"diffusion.{seed}")
  more = evaluated_once_more(str(tmp_path / "diffusion.0"))
  assert more["estimator"] == "full"
  flags_of(monkeypatch, folder, workdirs=[str(tmp_path / "*")])
  with pytest.raises(InputError, match=r"diffusion\.1 has no evaluation by full with \d draw.*another seed"):
    compare.main()


def test_models_of_the_same_name_are_told_apart_by_their_folders():
  def group(*folders):
    return [compare.Compared(folder, None, {}) for folder in folders]

  assert compare.labels_of([group("a/x.0", "a/x.1"), group("a/y")]) == ["x", "y"]
  assert compare.labels_of([group("a/x"), group("b/x")]) == ["a/x", "b/x"]
