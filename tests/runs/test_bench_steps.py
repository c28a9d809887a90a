"""What samples are worth by the number of steps: each is drawn as asked, and judged beside held-out data."""

import json

import jax
import numpy as np
import pytest

from catgen.evaluation import judges
from catgen.interfaces import InputError, SampleOptions
from catgen.keys import root_key
from catgen.media import media_of
from catgen.runs import bench_steps as module
from catgen.runs import judging
from catgen.runs.bench_steps import bench_steps, describe
from catgen.runs.experiment import first_examples
from tests.runs.test_sample import Drawn


@pytest.fixture(autouse=True)
def few(monkeypatch):
  """Has few training examples counted."""
  monkeypatch.setattr(judges, "_POSITIONS", 8_000)


def judge_of(source):
  return media_of(source.event, source.codec, "position").judge(source.splits["train"])


@pytest.fixture
def drawn(monkeypatch):
  """Has held-out examples stand for samples, and keeps what they were asked for by."""
  asked = []

  def generate_from(examples):
    def generate(*_, options, **keywords):
      asked.append((options, keywords))
      return Drawn(examples)

    monkeypatch.setattr(judging, "generate", generate)
    return asked

  return generate_from


@pytest.mark.parametrize("name", ["text_run", pytest.param("map_run", marks=pytest.mark.slow)])
def test_samples_like_held_out_data_stand_where_these_stand(name, request, here, drawn, tmp_path):
  run = here(request.getfixturevalue(name))
  asked = drawn(first_examples(run.source(), run.record.config["evaluation"]["split"], 16))
  found = bench_steps(run, num_steps=(2, 4), corrections=(0.0, 0.5), num_samples=16, batch_size=8, seed=3)
  rows = json.loads((tmp_path / "bench_steps.json").read_text())
  assert rows == found.rows
  options = [SampleOptions(num_steps=steps, correction=share) for share in (0.0, 0.5) for steps in (2, 4)]
  assert [each for each, _ in asked] == options
  for _, keywords in asked:
    assert (keywords["num_samples"], keywords["batch_size"], keywords["given"]) == (16, 8, None)
    np.testing.assert_array_equal(jax.random.key_data(keywords["key"]), jax.random.key_data(root_key(3)))
  held_out, training, *samples = rows
  measured = [column for column in held_out if column not in ("name", "calls") and not column.endswith("_error")]
  assert all(row[column] == held_out[column] for row in samples for column in measured)
  # held-out data of a stream are pieces of it, samples are independent
  same = [row["cross_entropy_error"] == held_out["cross_entropy_error"] for row in samples]
  assert same == [name == "map_run"] * 4
  assert training["cross_entropy"] != held_out["cross_entropy"]
  assert ("words" in held_out) == (name == "text_run")
  assert [row["calls"] for row in rows] == [None, None, 2, 4, 2, 4]
  assert (tmp_path / "bench_steps.png").stat().st_size > 1000
  assert "4 steps, correction 0.5" in describe(found)


def test_samples_are_drawn_and_a_label_takes_a_second_call(map_run, here, tmp_path):
  found = bench_steps(here(map_run), num_steps=(3,), corrections=(0.2,), num_samples=2, output=str(tmp_path / "x"))
  assert found.path == str(tmp_path / "x.json")
  assert found.rows[2]["num_examples"] == 2
  own = {"sampling": {}, "training": {"hidden_given": 0.1}}
  calls = [
    module._calls(module.sample_options(own, map_run.media, num_steps=3, guidance=guidance))
    for guidance in (0.0, 1.0, 2.0)
  ]
  assert calls == [6, 3, 6]


def test_what_cannot_be_measured_is_one_line(text_run, here, monkeypatch):
  run = here(text_run)
  with pytest.raises(InputError, match="num_samples is 0"):
    bench_steps(run, num_samples=0)
  with pytest.raises(InputError, match="give --corrections"):
    bench_steps(run, corrections=())
  monkeypatch.setattr(judging, "judging_of", None)  # what is refused is refused before anything is counted
  with pytest.raises(InputError, match="num_steps is 1000000, but this model has T"):
    bench_steps(run, num_steps=(2, 10**6))


def test_what_no_counts_judge_is_one_line(text_run):
  without = text_run._replace(media=text_run.media._replace(judge=None))
  with pytest.raises(InputError, match=r"sequences of shape .16,. cannot be judged by counts"):
    judging.judging_of(without, 1, 1, 0)


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
