"""Infilling and denoising on a tiny run of maps."""

import types

import numpy as np
import pytest
from PIL import Image

from catgen import build
from catgen.interfaces import InputError
from launch import baselines, denoise, infill, inputs
from tests.launch.tiny_run import tiny_map_config

INFILL = {
  "step": "best",
  "input": None,
  "split": None,
  "index": 0,
  "region": [],
  "mask": None,
  "num_samples": 3,
  "num_steps": None,
  "temperature": None,
  "seed": 0,
  "output": None,
}
DENOISE = {
  "step": "best",
  "input": None,
  "split": "test",
  "index": 0,
  "error_rate": 0.1,
  "score": False,
  "max_examples": 20,
  "seed": 0,
  "output": None,
}


@pytest.fixture(scope="module")
def run(map_workdir):
  return build.load(map_workdir, say=lambda line: None)


@pytest.fixture
def program(run, monkeypatch, tmp_path):
  """Runs a program with these flags; its pictures and its output are in tmp_path."""
  monkeypatch.setattr(build, "load", lambda *_, **__: run)

  def start(module, defaults, **flags):
    monkeypatch.setattr(module, "FLAGS", types.SimpleNamespace(**{**defaults, **flags}))
    monkeypatch.setattr(module.cli, "workdir", lambda: str(tmp_path))
    module.main()

  return start


def test_regions_of_a_held_out_map_are_completed(run, program, tmp_path, capsys):
  output = tmp_path / "completions.npy"
  program(infill, INFILL, split="test", index=2, region=["0,0,3,4", "6,6,2,2"], output=str(output))
  x = build.source_of(run.record).splits["test"].examples(np.array([2])).x[0]
  found = np.load(output)
  hidden = np.zeros((8, 8), bool)
  hidden[:3, :4] = hidden[6:, 6:] = True
  assert found.shape == (3, 8, 8)
  assert (found[:, ~hidden] == x[~hidden]).all()
  assert np.isin(found, [0, 1, 2]).all()
  shown = capsys.readouterr().out
  assert f"completions are {run.model.infill.explanation}" in shown
  assert "16 of 64 pixels are holes" in shown
  assert f"{(found == x)[:, hidden].mean():.1%} of them are as in the data, on average over 3 completions" in shown
  for name in ("infill.png", "infill_completions.png"):
    assert Image.open(tmp_path / name).size[0] > 300


def test_holes_of_a_file_are_completed_whatever_a_mask_hides(program, tmp_path, capsys):
  maps, mask, output = (str(tmp_path / name) for name in ("maps.npy", "mask.npy", "completions.npy"))
  x, hidden = np.random.default_rng(0).integers(0, 3, (2, 8, 8)), np.zeros((8, 8), bool)
  hidden[0] = True
  drawn = []
  for hole in (-1, 2):
    x[1, 0], x[1, 5, 5] = hole, -1
    np.save(maps, x)
    np.save(mask, hidden)
    program(infill, INFILL, input=maps, index=1, mask=mask, output=output)
    drawn.append(np.load(output))
  np.testing.assert_array_equal(*drawn)
  hidden[5, 5] = True
  assert (drawn[0][:, ~hidden] == x[1][~hidden]).all()
  assert "as in the data" not in capsys.readouterr().out


def test_mistakes_in_patterns_are_one_line(program, tmp_path):
  with pytest.raises(InputError, match="nothing to complete; give --input"):
    program(infill, INFILL)
  with pytest.raises(InputError, match="has no hole; give --region"):
    program(infill, INFILL, split="test")
  with pytest.raises(InputError, match=r"--index is 50, but the split 'test' has 50 example"):
    program(infill, INFILL, split="test", index=50)
  with pytest.raises(InputError, match="does not lie"):
    program(infill, INFILL, split="test", region=["7,7,2,2"])
  mask = str(tmp_path / "mask.npy")
  np.save(mask, np.ones((8, 9), bool))
  with pytest.raises(InputError, match=r"--mask has shape \(8, 9\)"):
    program(infill, INFILL, split="test", mask=mask)
  np.save(mask, np.full((8, 8), -2))
  with pytest.raises(InputError, match="category -2 at index"):
    program(infill, INFILL, input=mask)


def test_a_held_out_map_is_corrupted_and_corrected(run, program, tmp_path, capsys):
  output = str(tmp_path / "corrected.npy")
  program(denoise, DENOISE, output=output)
  given = inputs.one_example(run, path=None, split="test", index=0)
  again = denoise.restore(run, str(tmp_path), given, error_rate=0.1, seed=0)
  np.testing.assert_array_equal(np.load(output), again["bayes"])
  assert set(again) == {"bayes", "paper"}
  shown = capsys.readouterr().out
  assert "test split, number 0, 10.0% of the pixels wrong" in shown
  assert "wrong after" in shown
  assert Image.open(tmp_path / "denoised.png").size[0] > 300


def test_a_map_of_a_file_is_taken_as_corrupted(program, tmp_path, capsys):
  path, output = str(tmp_path / "map.npy"), str(tmp_path / "corrected.npy")
  x = np.zeros((8, 8), int)
  x[4:] = 1
  np.save(path, x)
  program(denoise, DENOISE, input=path, error_rate=0.0, output=output)
  np.testing.assert_array_equal(np.load(output), x)  # where no error is assumed nothing is changed
  assert "bayes: 0 of 64 pixels changed" in capsys.readouterr().out


def test_corrections_of_held_out_maps_repair_more_than_they_break(run, program, capsys):
  program(denoise, DENOISE, score=True)
  assert "20 maps of the test split, 10.0% of the pixels wrong" in capsys.readouterr().out
  found = denoise.score(run, split="test", rate=0.1, max_examples=50, seed=1)["bayes"]
  assert found.wrong_after.value < found.wrong_before.value
  with pytest.raises(InputError, match="error rate"):
    program(denoise, DENOISE, error_rate=0.9)


def test_texts_are_for_the_spellchecker(run, monkeypatch, tmp_path):
  text_run = run._replace(record=run.record._replace(event=run.record.event._replace(shape=(16,))))
  monkeypatch.setattr(build, "load", lambda *_, **__: text_run)
  monkeypatch.setattr(denoise, "FLAGS", types.SimpleNamespace(**DENOISE))
  monkeypatch.setattr(denoise.cli, "workdir", lambda: str(tmp_path))
  with pytest.raises(InputError, match=r"launch\.spellcheck"):
    denoise.main()


def test_baselines_of_maps_know_more_the_more_they_see(run, maps, monkeypatch, capsys):
  found = baselines.count_baselines(build.source_of(run.record), "test")
  alone, place, beside, around = (each.bits for each in found.values())
  assert alone > beside > around
  assert alone > place
  monkeypatch.setattr(baselines.cli, "config", lambda: tiny_map_config(maps, **{"evaluation.max_examples": 20}))
  baselines.main()
  shown = capsys.readouterr().out
  assert "scored on the first 20 of 50 test examples" in shown
  assert "counted on the first 500 of 500 training maps" in shown
  assert f"{baselines.count_baselines(build.source_of(run.record), 'test', 20)['independent pixels'].bits:.4f}" in shown
  solid = build.source_of(run.record)._replace(event=run.record.event._replace(shape=(2, 4, 4)))
  with pytest.raises(InputError, match="sequences and maps only"):
    baselines.count_baselines(solid, "test")
