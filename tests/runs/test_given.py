"""Labels by their names: samples, completions, corrections and scores of a model with a distribution for each."""

import math

import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.config import load_config
from catgen.data.codecs import integer_codec
from catgen.data.splits import record_split
from catgen.interfaces import InputError
from catgen.media import media_of
from catgen.runs.evaluate import evaluate, shown
from catgen.runs.load import Run
from catgen.runs.record import RunRecord, read_record, write_record
from catgen.runs.sample import describe as describe_samples
from catgen.sources import Attribute, DataSource
from tests.evaluation.test_given import EVENT, GIVEN, MODEL, TABLE, X

ATTRIBUTES = (Attribute("color", ("red", "blue")),)
CONFIG = {
  "data": {"kind": "made_up"},
  "model": {"kind": "made_up"},
  "training": {},
  "evaluation": {
    "split": "test",
    "estimator": None,
    "num_draws": 1,
    "num_replicates": 1,
    "draws_at_once": 1,
    "batch_size": 4,
    "max_examples": 0,
    "invalid_samples": 0,
  },
  "sampling": {"num_samples": 4, "batch_size": 500, "num_steps": None, "temperature": 1.0},
}
CODEC = integer_codec(4, (3,))
RECORD = RunRecord(CONFIG, EVENT, CODEC, "value", None, "f" * 64, "made up", "a1b2", ATTRIBUTES)


def source():
  split = record_split(len(X), lambda numbers: batch_of(X[numbers], index=numbers, given=GIVEN[numbers]), EVENT.given)
  return DataSource(EVENT, {"test": split}, CODEC, "value", None, "f" * 64, "made up", ATTRIBUTES)


@pytest.fixture
def run(tmp_path):
  return Run(MODEL, {}, {}, RECORD, media_of(EVENT, CODEC, "value"), str(tmp_path), 1, False, source)


def log_probs(label, x):
  return np.asarray(TABLE)[label][x].sum(axis=-1)


def test_the_names_of_labels_are_kept(tmp_path):
  write_record(str(tmp_path), RECORD._replace(config=load_config("quickstart").values))
  assert read_record(str(tmp_path)).attributes == ATTRIBUTES


@pytest.mark.parametrize(("given", "label"), [((), 2), (("color=red",), 0), (("color=blue",), 1)])
def test_samples_completions_and_scores_have_the_labels_that_are_named(run, given, label):
  drawn = run.sample(500, given=given).x
  shares = np.bincount(drawn.reshape(-1), minlength=4) / drawn.size
  np.testing.assert_allclose(shares, np.exp(TABLE[label]), atol=0.06)
  scored = run.score(X, given=given)
  np.testing.assert_allclose(scored.nats[0], log_probs(label, X), rtol=1e-5)
  most = int(np.argmax(TABLE[label]))
  assert run.correct(X[0], given=given, error_rate=0.1, method="bayes").x.tolist() == [most] * 3


def test_completions_have_the_labels_that_are_named(run, tmp_path):
  np.save(tmp_path / "x.npy", np.array([-1, 1, -1]))
  filled = [
    run.infill(input=str(tmp_path / "x.npy"), num_samples=500, given=(f"color={name}",)).x for name in ("red", "blue")
  ]
  for label, x in enumerate(filled):
    assert (x[:, 1] == 1).all()
    shares = np.bincount(x[:, [0, 2]].reshape(-1), minlength=4) / 1000
    np.testing.assert_allclose(shares, np.exp(TABLE[label]), atol=0.06)


def test_evaluation_gives_the_labels_of_the_data_or_none(run):
  with_labels = evaluate(run)
  expected = -np.mean([log_probs(label, x) for (label,), x in zip(GIVEN, X, strict=True)]) / 3 / math.log(2)
  assert with_labels.result["value"] == pytest.approx(expected, rel=1e-5)
  assert "labels given: data" in shown(with_labels.result)
  without = evaluate(run, given="none")
  assert without.result["value"] == pytest.approx(-np.mean(log_probs(2, X)) / 3 / math.log(2), rel=1e-5)


def test_a_label_that_does_not_exist_is_one_line(run):
  with pytest.raises(InputError, match="color cannot be 'green'; choose one of red, blue"):
    run.sample(1, given=("color=green",))


def test_guidance_is_refused_where_no_label_was_ever_hidden_and_said_where_it_acts(run):
  never_hidden = RECORD._replace(config={**CONFIG, "training": {"hidden_given": 0.0}})
  with pytest.raises(InputError, match=r"its training.hidden_given is 0; leave guidance out"):
    run._replace(record=never_hidden).sample(4, given=("color=red",), guidance=2.0)
  hidden = run._replace(record=RECORD._replace(config={**CONFIG, "training": {"hidden_given": 0.1}}))
  with pytest.raises(InputError, match="guidance_interval has 1 numbers; give two times"):
    hidden.sample(4, given=("color=red",), guidance_interval=(0.5,))
  guided = hidden.sample(4, given=("color=red",), guidance=2.0)
  assert "follow neither p(x given the labels) nor" in describe_samples(guided)
  within = hidden.sample(4, given=("color=red",), guidance=0.0, guidance_interval=(0.0, 0.5))
  assert "guidance 0:" in describe_samples(within)
  for guidance in (0.0, 1.0):
    assert "guidance" not in describe_samples(hidden.sample(4, given=("color=red",), guidance=guidance))
