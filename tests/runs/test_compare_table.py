"""The table of compared runs, from made-up evaluations, and which folders names and patterns mean."""

import json
import math
import os
import unicodedata

import numpy as np
import pytest

from catgen.data import from_spec
from catgen.evaluation.comparison import Evaluation, Scores
from catgen.interfaces import EventSpec, InputError
from catgen.runs.compare import (
  Compared,
  Evaluations,
  check_same_estimators,
  check_same_protocol,
  describe,
  expanded,
  name_of,
  training_seconds,
)
from catgen.runs.record import RunRecord

ROW = {
  "name": "masked", "family": "diffusion", "seeds": 2, "parameters": 1_234_567, "unit": "bits per character",
  "bits": 1.5, "data_error": 0.01, "monte_carlo_error": math.nan, "seed_error": 0.02, "estimator": "elbo",
  "num_draws": 3, "num_replicates": 4, "num_examples": 5000, "difference": 0.25, "difference_error": 0.03,
  "training_positions": 10**9, "training_seconds": 3600.4, "sampling_seconds": 0.5, "sampling_deviation": None,
  "invalid": None, "protocol": None, "law": "", "consecutive": False,
}  # fmt: skip


def table(*rows):
  lines = describe(Compared(list(rows), "character", "out.json", ("out.png",))).splitlines()
  return lines[: 2 + len(rows)], lines[2 + len(rows) :]


def test_a_row_says_what_is_known_and_a_question_mark_what_is_not():
  (header, _, first, second), (last,) = table({**ROW, "difference": 0.0}, {**ROW, "name": "flow", "estimator": "exact"})
  assert "bits per character" in header
  for text in ("masked", "1,234,567", "1.5000", "0.0100", "0.0200", "elbo, 3 x 4", "5,000", "1,000,000,000", "3,600"):
    assert text in first
  assert "0.500 ± ?" in first
  assert "0.2500 ± 0.0300" in second
  assert "0.2500" not in first  # the first is not compared with itself
  assert "exact, " not in second  # nothing was drawn
  assert first.split("0.0100")[1].split()[0] == "?"
  assert last == "written to out.json; pictures: out.png"


@pytest.mark.parametrize("name", ["Straße", "x" * 300, "東京", "a b"])
def test_columns_stay_under_their_titles_whatever_the_names(name):
  lines, _ = table({**ROW, "name": name}, ROW)

  def columns(text):
    """Returns a letter for each column of a terminal: two for a Chinese sign."""
    return "".join(c * (1 + (unicodedata.east_asian_width(c) == "W")) for c in text)

  lines = [columns(line) for line in lines]
  rule = lines[1]
  starts = [i for i in range(len(rule)) if rule[i] == "-" and (i == 0 or rule[i - 1] == " ")]
  assert len(starts) == 14
  for line in (lines[2], lines[3]):
    assert all(line[start - 2 : start] == "  " for start in starts[1:] if start < len(line))
  assert lines[2].startswith(columns(name))


def test_errors_over_pieces_of_one_text_are_named_so():
  _, notes = table({**ROW, "consecutive": True}, ROW)
  assert notes[0] == "± examples: over pieces of one text, which are not independent"


def test_codes_without_a_category_are_told_of_models_that_have_such():
  _, notes = table({**ROW, "name": "flow", "invalid": {"positions": 0.0312}}, ROW)
  assert notes[0] == "flow: 3.12% of sampled characters mean no category"
  assert len(notes) == 2


@pytest.mark.parametrize(
  ("folders", "name"),
  [
    (["runs/a.0"], "a.0"),
    (["runs/a.0", "runs/a.1"], "a"),
    (["x/masked_seed0", "y/masked_seed1"], "masked_seed"),
    (["a-1", "a-2", "a-1b"], "a"),
    (["one", "two"], "one"),
    (["a", "ab"], "a"),
    (["größe.0", "größe.1"], "größe"),
  ],
)
def test_seeds_are_called_by_what_their_folders_share(folders, name):
  assert name_of(folders) == name
  assert name_of(folders[::-1]) in (name, os.path.basename(folders[-1]))


@pytest.fixture
def runs(tmp_path, monkeypatch):
  for name in ("b.1", "b.0", "a [1]", "é"):
    (tmp_path / "runs" / name).mkdir(parents=True)
  (tmp_path / "runs" / "notes.txt").write_text("")
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv("HOME", str(tmp_path))
  return tmp_path


def test_patterns_mean_folders_each_once_and_in_order(runs):
  assert expanded(["runs/*"]) == ["runs/a [1]", "runs/b.0", "runs/b.1", "runs/é"]
  assert expanded(["runs/b.1/", "./runs/b.*", "runs/b.0"]) == ["runs/b.1", "runs/b.0"]
  assert expanded(["runs/b.[01]"]) == ["runs/b.0", "runs/b.1"]


def test_a_folder_whose_name_looks_like_a_pattern_is_that_folder(runs):
  assert expanded(["runs/a [1]"]) == ["runs/a [1]"]


def test_folders_and_patterns_may_begin_with_a_tilde(runs):
  assert expanded(["~/runs/é", "~/runs/b.*"]) == [str(runs / "runs" / name) for name in ("é", "b.0", "b.1")]


@pytest.mark.parametrize(
  "patterns", [[], ["runs/missing"], ["runs/b.0", "runs/c.*"], ["runs/notes.txt"], ["runs/*.txt"]]
)
def test_what_means_no_folder_is_named_with_what_to_give(runs, patterns):
  with pytest.raises(InputError, match=r"give work directories, --workdirs=runs/a,runs/b$") as caught:
    expanded(patterns)
  assert not patterns or repr(patterns[-1]) in str(caught.value)


def evaluated(workdir, *hows, step=20, **more):
  record = RunRecord(
    {"training": {"batch_size": 8}}, EventSpec((4, 5), 3), from_spec({"kind": "bytes"}), "pixel", None, "", "", ""
  )
  scores = Scores(np.zeros((1, 2)), np.arange(2), np.ones(2, int))
  return Evaluations(str(workdir), record, {how: Evaluation({"step": step, **more}, scores) for how in hows})


def test_numbers_of_two_protocols_are_never_put_in_one_column():
  name = "memory of 64 carried over segments of 80 in 10 streams"
  how = {"memory": 64, "segment": 80, "streams": 10}
  one, same = (evaluated(folder, ("exact", 1), protocol=name, **how) for folder in "ab")
  other = evaluated("c", ("exact", 1), **{**how, "segment": 40})
  alone = evaluated("d", ("exact", 1))
  check_same_protocol([one, same])
  check_same_protocol([alone, alone])
  for pair in ([one, other], [same, alone]):
    with pytest.raises(InputError, match=rf"by different protocols, [ab] \({name}\) and [cd] \(examples by themselves"):
      check_same_protocol(pair)
  _, notes = table({**ROW, "protocol": name}, {**ROW, "protocol": name})
  assert notes[0] == f"all bits per character: {name}"


def test_a_seed_that_lacks_an_evaluation_is_named_whichever_it_is():
  whole, part = evaluated("a", ("elbo", 1), ("iwbo", 8)), evaluated("b", ("elbo", 1))
  check_same_estimators([whole, whole])
  for group in ([whole, part], [part, whole]):
    with pytest.raises(InputError, match=r"^b has no evaluation by iwbo with 8 draws, which another seed"):
      check_same_estimators(group)


def test_time_of_training_is_that_of_the_steps_up_to_the_evaluated_one(tmp_path):
  rates = [(5, 800.0), (10, 1600.0), (15, None), (20, 400.0), (30, 1.0)]
  lines = [{"step": step, "train/positions_per_second": rate} for step, rate in rates]
  (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in [*lines, {"step": 18}]))
  positions = 8 * 4 * 5
  expected = 5 * positions / 800 + 5 * positions / 1600 + 10 * positions / 400
  assert training_seconds(evaluated(tmp_path, ("elbo", 1))) == pytest.approx(expected)
  assert training_seconds(evaluated(tmp_path, ("elbo", 1), step=5)) == pytest.approx(positions / 160)
