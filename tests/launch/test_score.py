"""launch.score on tiny runs of text and of maps."""

import json
import pathlib
import types

import numpy as np
import pytest

from catgen import build
from catgen.interfaces import InputError
from launch import score
from launch.score import Settings

SETTINGS = Settings(None, 2, 0)


@pytest.fixture(scope="module")
def map_run(map_workdir):
  return build.load(map_workdir, say=lambda line: None)


@pytest.fixture(scope="module")
def source(map_run):
  return build.source_of(map_run.record)


def refuse():
  raise AssertionError("the data were loaded")


def test_noise_stands_out_among_maps(map_workdir, tmp_path, monkeypatch, capsys):
  noise, output = tmp_path / "noise.npy", tmp_path / "scores.jsonl"
  np.save(noise, np.random.default_rng(1).integers(0, 3, (20, 8, 8)))
  flags = {"step": "best", "input": str(noise), "split": None, "max_examples": 512, "estimator": None, "num_draws": 4}
  flags |= {"reference": 40, "seed": 0, "top": 3, "output": str(output)}
  monkeypatch.setattr(score, "FLAGS", types.SimpleNamespace(**flags))
  monkeypatch.setattr(score.cli, "workdir", lambda: map_workdir)
  score.main()
  found = [json.loads(line) for line in output.read_text().splitlines()]
  assert [record["example"] for record in found] == list(range(20))
  assert min(record["percentile"] for record in found) > 99
  assert found[0]["unit"] == "bits per pixel"
  assert (found[0]["estimator"], found[0]["num_draws"], found[0]["num_reference"]) == ("elbo", 4, 40)
  assert all(record["monte_carlo_error"] > 0 for record in found)
  shown = capsys.readouterr().out
  assert "the 3 most unusual of 20; estimator elbo, 4 draw(s) x 4 replicates, the same for all" in shown
  assert "probability 1.000 ± 0.000" in shown
  monkeypatch.setattr(score, "FLAGS", types.SimpleNamespace(**{**flags, "output": str(tmp_path / "no" / "scores")}))
  with pytest.raises(InputError, match="cannot write"):
    score.main()


def test_held_out_maps_do_not_stand_out(map_run, map_workdir, source):
  given = score.given_examples(map_run, lambda: source, path=None, split="test", max_examples=20)
  assert given.index.tolist() == sorted(set(given.index.tolist()))
  assert (given.index[0], given.index[-1], len(given.index)) == (0, 49, 20)
  found = score.score(map_run, map_workdir, given, SETTINGS, lambda: source, num_reference=40)
  assert 25 < np.mean([record["percentile"] for record in found]) < 75


def test_training_examples_stand_where_they_are(map_run, map_workdir, source):
  given = score.spread_examples(source, "train", 12)
  records = score.score(map_run, map_workdir, given, SETTINGS, lambda: source, num_reference=12)
  bits = np.array([record["bits"] for record in records])
  fewer = [100 * np.mean((bits < own) + 0.5 * (bits == own)) for own in bits]
  assert [record["percentile"] for record in records] == pytest.approx(fewer)


def test_scores_of_training_examples_are_kept(map_run, map_workdir, source):
  given = source.splits["test"].examples(np.arange(3))

  def found(load_source, settings=SETTINGS, number=9):
    return score.score(map_run, map_workdir, given, settings, load_source, num_reference=number)

  first = found(lambda: source)
  assert found(refuse) == first
  changed = [(Settings(None, 3, 0), 9), (Settings(None, 2, 1), 9), (Settings("full", 2, 0), 9), (SETTINGS, 8)]
  for settings, number in changed:
    with pytest.raises(AssertionError, match="were loaded"):
      found(refuse, settings, number)
  (kept,) = (pathlib.Path(map_workdir) / "scores").glob("reference9_*")
  kept.write_bytes(b"cut")
  assert found(lambda: source) == first
  with pytest.raises(InputError, match="at least one training example"):
    found(lambda: source, number=0)


def test_lines_of_text_are_padded_and_called_by_their_number(workdir, tmp_path, capsys):
  lines = tmp_path / "lines.txt"
  run = build.load(workdir, say=lambda line: None)
  lines.write_text("the cat sat on a\n\nthe mat\ntac tac tac tac\n")
  given = score.given_examples(run, refuse, path=str(lines), split=None)
  assert given.index.tolist() == [1, 3, 4]
  found = score.score(run, workdir, given, SETTINGS, lambda: build.source_of(run.record), num_reference=8)
  assert [(record["example"], record["positions"]) for record in found] == [(1, 16), (3, 7), (4, 15)]
  assert "tac tac tac tac" in capsys.readouterr().out
  for content, message in [
    (b"the mat\nthe cat sat on a mat", "line 2: the input has shape"),
    (b"the MAT", "line 1: character 'M'"),
    (b"\n\n", "no text"),
    (b"\xff\xfe", "UTF-8"),
  ]:
    lines.write_bytes(content)
    with pytest.raises(InputError, match=message):
      score.given_examples(run, refuse, path=str(lines), split=None)


@pytest.mark.parametrize(
  ("content", "message"),
  [
    (np.zeros((2, 8, 9), int), "give one example of 8 x 8"),
    (np.zeros((0, 8, 8), int), "no data|give one example"),
    (np.full((8, 8), 3), "category 3 at index"),
    (np.full((8, 8), -1), "category -1 at index"),
    (np.zeros((8, 8)), "integers are needed"),
    ({"train": np.zeros((2, 8, 8), int)}, "several arrays"),
    (None, "does not exist"),
  ],
)
def test_arrays_that_do_not_fit_are_one_line(map_run, tmp_path, content, message):
  path = tmp_path / "array.npz"
  if isinstance(content, dict):
    np.savez(path, **content)
  elif content is not None:
    with open(path, "wb") as file:
      np.save(file, content)
  with pytest.raises(InputError, match=message):
    score.given_examples(map_run, refuse, path=str(path), split=None)


def test_either_a_file_or_a_split_is_scored(map_run):
  for path, split in ((None, None), ("maps.npy", "test")):
    with pytest.raises(InputError, match="either --input=file or --split=test"):
      score.given_examples(map_run, refuse, path=path, split=split)
