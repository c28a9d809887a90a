"""What samples are worth by the number of steps: each is drawn as asked, and judged beside held-out data."""

import json

import numpy as np
import pytest

from catgen.evaluation import judges
from catgen.interfaces import InputError
from catgen.runs import bench_steps as module
from catgen.runs.bench_steps import bench_steps, describe
from catgen.runs.experiment import first_examples
from tests.runs.test_sample import Drawn


@pytest.fixture(autouse=True)
def few(monkeypatch):
  """Has few training examples counted."""
  monkeypatch.setattr(judges, "_POSITIONS", 8_000)


def judge_of(source):
  return judges.judge_of(source.splits["train"], source.event, source.codec)


@pytest.fixture
def drawn(monkeypatch):
  """Has held-out examples stand for samples, and keeps the options with which they were asked for."""
  asked = []

  def generate_from(examples):
    def generate(*_, options, num_samples, **__):
      asked.append(options)
      return Drawn(examples)

    monkeypatch.setattr(module, "generate", generate)
    return asked

  return generate_from


@pytest.mark.parametrize("name", ["text_run", "map_run"])
def test_samples_like_held_out_data_stand_where_these_stand(name, request, here, drawn, tmp_path):
  run = here(request.getfixturevalue(name))
  asked = drawn(first_examples(run.source(), run.record.config["evaluation"]["split"], 16))
  found = bench_steps(run, num_steps=(2, 4), corrections=(0.0, 0.5), num_samples=16)
  rows = json.loads((tmp_path / "bench_steps.json").read_text())
  assert rows == found.rows
  assert [(each.num_steps, each.correction) for each in asked] == [(2, 0.0), (4, 0.0), (2, 0.5), (4, 0.5)]
  held_out, training, *samples = rows
  measured = [column for column in held_out if column not in ("name", "calls", "correction")]
  assert all(row[column] == held_out[column] for row in samples for column in measured)
  assert training["cross_entropy"] != held_out["cross_entropy"]
  assert ("words" in held_out) == (name == "text_run")
  assert [row["calls"] for row in rows] == [None, None, 2, 4, 2, 4]
  assert (tmp_path / "bench_steps.png").stat().st_size > 1000
  assert "4 steps, correction 0.5" in describe(found)


def test_samples_are_drawn_and_a_label_takes_a_second_call(map_run, here, tmp_path):
  found = bench_steps(here(map_run), num_steps=(3,), corrections=(0.2,), num_samples=2, output=str(tmp_path / "x"))
  assert found.path == str(tmp_path / "x.json")
  assert found.rows[2]["num_examples"] == 2
  options = module.sample_options(
    {"sampling": {}, "training": {"hidden_given": 0.1}}, map_run.media, num_steps=3, guidance=2.0
  )
  assert module._calls(options) == 6


def test_what_cannot_be_measured_is_one_line(text_run, here):
  run = here(text_run)
  with pytest.raises(InputError, match="num_samples is 0"):
    bench_steps(run, num_samples=0)
  with pytest.raises(InputError, match="give --corrections"):
    bench_steps(run, corrections=())
  with pytest.raises(InputError, match="num_steps is 1000000, but this model has T"):
    bench_steps(run, num_steps=(10**6,))


def test_counts_pairs_and_words_are_those_of_the_training_split(text_run):
  source = text_run.source()
  judge = judge_of(source)
  training = first_examples(source, "train", 8_000 // source.event.shape[0])
  own = judges.judged(judge, training)
  assert own.pairs == 0
  assert own.words.value == 1
  shuffled = training._replace(x=np.random.default_rng(0).permuted(training.x.reshape(-1)).reshape(training.x.shape))
  other = judges.judged(judge, shuffled)
  assert other.entropy == pytest.approx(own.entropy)
  assert other.pairs > 0.01
  assert other.words.value < 0.9
  assert other.cross_entropy.value > own.cross_entropy.value + 1


def test_repeating_what_is_probable_shows_in_the_entropy(text_run):
  source = text_run.source()
  judge, examples = judge_of(source), first_examples(source, "train", 8)
  counts = np.bincount(examples.x.reshape(-1), minlength=source.event.num_classes)
  same = judges.judged(judge, examples._replace(x=np.full_like(examples.x, counts.argmax())))
  assert same.entropy == 0 < judges.judged(judge, examples).entropy
