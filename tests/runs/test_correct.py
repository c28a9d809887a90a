"""Corrections of text and of maps, and how well they work."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from catgen.evaluation import shares
from catgen.evaluation.spelling import SpellingScore
from catgen.interfaces import InputError
from catgen.runs.correct import Scored, correct, describe, describe_scores, score_corrections
from tests.serving.conftest import letter_by_letter


def test_a_sentence_is_corrected_letter_by_letter(text_run, tmp_path):
  output = tmp_path / "corrected.txt"
  found = correct(text_run, text="the cet", error_rate=0.1, output=str(output))
  assert list(found.corrections) == ["bayes"]
  typed, corrected, *_ = describe(found).splitlines()
  assert typed == "typed:     the cet"
  assert corrected.replace("[", "").replace("]", "") == f"corrected: {output.read_text().rstrip()}"
  assert len(pathlib.Path(output).read_text()) == 8
  assert "\x1b[" not in describe(found)


def test_a_held_out_text_is_corrupted_and_corrected_by_both_methods(text_run):
  found = correct(text_run, index=3, error_rate=0.1)
  assert set(found.scores) == {"bayes", "paper"}
  assert "test split, number 3, errors at a rate of 10.0%" in describe(found)


def test_of_no_errors_the_share_that_was_repaired_is_unknown():
  none, few = shares.interval(np.array([0]), np.array([0])), shares.interval(np.array([0]), np.array([7]))
  scored = Scored({"bayes": SpellingScore(none, few, few, few)}, "rows", 1, "test", 0.05, "column")
  *_, row, _ = describe_scores(scored).splitlines()
  assert row.split()[:3] == ["bayes", "?", "0.00%"]


def test_a_held_out_map_is_corrupted_and_corrected(map_run, here, tmp_path):
  output = str(tmp_path / "corrected.npy")
  found = correct(here(map_run), error_rate=0.1, output=output)
  np.testing.assert_array_equal(np.load(output)[0], found.x)
  assert set(found.corrections) == {"bayes", "paper"}
  wrong = (found.seen.x[0] != found.truth.x[0]).sum()
  assert found.scores["bayes"].wrong_before.hits == wrong > 0
  assert found.scores["bayes"].wrong_after.hits == (found.x != found.truth.x[0]).sum()
  assert "wrong after" in describe(found)
  assert Image.open(tmp_path / "denoised.png").size[0] > 300


def test_a_map_of_a_file_is_taken_as_corrupted(map_run, tmp_path):
  path = str(tmp_path / "map.npy")
  x = np.zeros((8, 8), int)
  x[4:] = 1
  np.save(path, x)
  found = correct(map_run, input=path, error_rate=0.0, pictures=False)
  np.testing.assert_array_equal(found.x, x)  # where no error is assumed nothing is changed
  assert found.truth is None
  assert not found.scores
  assert "bayes: 0 of 64 pixels changed" in describe(found)
  np.testing.assert_array_equal(correct(map_run, x, error_rate=0.0, pictures=False).x, x)


def test_a_text_is_read_in_the_encoding_of_the_data_unless_another_is_said(text_run, tmp_path):
  config = {**text_run.record.config, "data": {**text_run.record.config["data"], "encoding": "utf-16-le"}}
  run = text_run._replace(record=text_run.record._replace(config=config))
  path, plain = tmp_path / "a.txt", tmp_path / "b.txt"
  path.write_bytes("the cet".encode("utf-16-le"))
  plain.write_text("the cet")
  found = [correct(run, input=str(each), pictures=False) for each in (path, plain)]
  np.testing.assert_array_equal(found[0].x, found[1].x)
  assert run.decode(found[0].seen.x[0]).startswith("the cet")
  with pytest.raises(InputError):
    correct(run, input=str(path), encoding="utf-8", pictures=False)


def test_corrections_of_held_out_maps_repair_more_than_they_break(map_run):
  found = score_corrections(map_run, error_rate=0.1, max_examples=50, seed=1)
  assert describe_scores(found).startswith("50 maps of the test split, 10.0% of the pixels wrong\n")
  assert found.scores["bayes"].wrong_after.value < found.scores["bayes"].wrong_before.value
  with pytest.raises(InputError, match="error rate"):
    correct(map_run, error_rate=0.9)


def test_a_model_without_a_denoiser_reads_letter_by_letter(text_run):
  run = letter_by_letter(text_run)
  found = correct(run, text="the cet", error_rate=0.1)
  assert list(found.corrections) == ["channel"]
  typed, corrected, *_ = describe(found).splitlines()
  assert typed == "typed:     the cet"
  assert corrected.startswith("corrected: ")
  assert found.corrections["channel"].log_seen.shape == (1,)
  scored = score_corrections(run, error_rate=0.3, max_examples=3, method="channel")
  assert list(scored.scores) == ["channel"]
  with pytest.raises(InputError, match="cannot correct by 'bayes'; it can by channel"):
    correct(run, text="the cet", method="bayes")
  with pytest.raises(InputError, match=r"beam is 2000; give 1 to 1,024"):
    score_corrections(run, beam=2000)


def test_a_model_that_cannot_correct_says_so(map_run):
  run = map_run._replace(model=map_run.model._replace(denoise=None))
  with pytest.raises(InputError, match="cannot correct: it has no denoiser, and"):
    correct(run)
  with pytest.raises(InputError, match="has no denoiser"):
    run.denoise(np.zeros((8, 8), int), error_rate=0.1)
