"""Scores of single examples, and where they stand."""

import json

import numpy as np
import pytest

from catgen.interfaces import InputError
from catgen.runs import score as module
from catgen.runs.score import describe, records, score, spread_examples


def refuse():
  raise AssertionError("the data were loaded")


def test_noise_stands_out_among_maps(map_run, here, tmp_path):
  noise, output = tmp_path / "noise.npy", tmp_path / "scores.jsonl"
  np.save(noise, np.random.default_rng(1).integers(0, 3, (20, 8, 8)))
  found = score(here(map_run), input=str(noise), reference=40, top=3, output=str(output))
  lines = [json.loads(line) for line in output.read_text().splitlines()]
  assert lines == records(found)
  assert [line["example"] for line in lines] == list(range(20))
  assert min(line["percentile"] for line in lines) > 99
  assert lines[0]["unit"] == "bits per pixel"
  assert (lines[0]["estimator"], lines[0]["num_draws"], lines[0]["num_reference"]) == ("elbo", 4, 40)
  assert all(line["monte_carlo_error"] > 0 for line in lines)
  shown = describe(found)
  assert "the 3 most unusual of 20; estimator elbo, 4 draws x 4 replicates, the same for all" in shown
  assert "probability 1.000 ± 0.050" in shown
  exactly = found._replace(likelihood=found.likelihood._replace(estimator="exact"))
  assert "± Monte Carlo" in shown
  for words in ("± Monte Carlo", "the same for all"):
    assert words not in describe(exactly)  # nothing is drawn
  with pytest.raises(InputError, match="cannot write"):
    score(map_run, input=str(noise), output=str(tmp_path / "no" / "scores"))


def test_held_out_maps_do_not_stand_out(map_run, here):
  batch = spread_examples(map_run, "test", 20)
  assert batch.index.tolist() == sorted(set(batch.index.tolist()))
  assert (batch.index[0], batch.index[-1], len(batch.index)) == (0, 49, 20)
  found = score(here(map_run), split="test", max_examples=20, reference=40)
  assert found.names.tolist() == batch.index.tolist()
  assert 25 < np.mean(found.percentiles) < 75


def test_training_examples_stand_where_they_are(map_run, here):
  found = score(here(map_run), split="train", max_examples=20, num_draws=2, reference=20)
  fewer = [100 * np.mean((found.bits < own) + 0.5 * (found.bits == own)) for own in found.bits]
  assert found.percentiles == pytest.approx(fewer)


def test_scores_of_training_examples_are_kept(map_run, here, tmp_path):
  examples = [map_run.decode(x) for x in map_run.source().splits["test"].examples(np.arange(8))[0]]

  def found(loadable=True, **options):
    run = here(map_run) if loadable else here(map_run)._replace(source=refuse)
    return records(score(run, examples, **{"num_draws": 2, "reference": 16, **options}))

  first = found()
  assert found(loadable=False) == first
  for changed in ({"num_draws": 3}, {"seed": 1}, {"estimator": "full"}, {"reference": 8}):
    with pytest.raises(AssertionError, match="were loaded"):
      found(loadable=False, **changed)
  (kept,) = (tmp_path / "scores").glob("reference16_*")
  kept.write_bytes(b"cut")
  assert found() == first
  with pytest.raises(InputError, match="or 0 to compare with none"):
    found(reference=-1)


def test_without_a_reference_nothing_is_compared(map_run):
  found = score(map_run._replace(source=refuse), np.zeros((20, 8, 8), int), num_draws=2, reference=0)
  assert found.percentiles is None
  assert [record["percentile"] for record in records(found)] == [None] * 20
  assert "reference" not in describe(found)


def test_scores_are_shown_where_the_data_are_gone(map_run, here):
  def gone():
    raise InputError("squares.npy does not exist")

  said = []
  found = score(here(map_run)._replace(source=gone), np.zeros((2, 8, 8), int), num_draws=2, say=said.append)
  assert found.percentiles is None
  assert np.isfinite(found.bits).all()
  (line,) = said
  assert "no training examples to compare with: squares.npy does not exist" in line
  assert "--reference=0" in line


def test_lines_of_text_are_called_by_their_number(text_run, tmp_path, here):
  lines = tmp_path / "lines.txt"
  lines.write_text("the cat sat on a\n\nthe mat\ntac tac tac tac\n")
  found = score(here(text_run), input=str(lines), num_draws=2, reference=3)
  assert list(zip(found.names.tolist(), found.positions.tolist(), strict=True)) == [(1, 16), (3, 7), (4, 15)]
  assert found.shown == ["the cat sat on a", "the mat", "tac tac tac tac"]
  assert "tac tac tac tac" in describe(found)


def test_either_a_file_or_a_split_is_scored(map_run):
  for path, split in ((None, None), ("maps.npy", "test")):
    with pytest.raises(InputError, match="either --input=file or --split=test"):
      module.score(map_run, input=path, split=split)
