"""Labels of examples by the likelihood of a model whose probabilities are written out."""

import json

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.data.splits import record_split
from catgen.interfaces import Bound, InputError
from catgen.media import media_of
from catgen.runs.classify import classify, describe
from catgen.runs.load import Run
from catgen.sources import Attribute
from tests.evaluation.test_given import EVENT, GIVEN, MODEL, X
from tests.runs.test_given import CODEC, RECORD, log_probs, source

COUNTS = np.array([6, 2])  # of the labels of the training split, two examples have none
TRAINED_ON = np.repeat(np.array([0, 1, 2], np.int32), [*COUNTS, 2])[:, None]


def labelled_source():
  zeros = np.zeros((len(TRAINED_ON), 3), np.int32)
  train = record_split(
    len(zeros), lambda numbers: batch_of(zeros[numbers], index=numbers, given=TRAINED_ON[numbers]), EVENT.given
  )
  plain = source()
  return plain._replace(splits={**plain.splits, "train": train})


@pytest.fixture
def run(tmp_path):
  return Run(MODEL, {}, {}, RECORD, media_of(EVENT, CODEC, "value"), str(tmp_path), 1, False, labelled_source)


def bayes(x, prior):
  joint = np.stack([np.exp(log_probs(label, x)) for label in (0, 1)], axis=-1) * prior
  return joint / joint.sum(-1, keepdims=True)


def test_labels_are_found_by_bayes_rule(run):
  found = run.classify(X, prior="uniform")
  np.testing.assert_allclose(found.probabilities, bayes(X, np.array([0.5, 0.5])), rtol=1e-5)
  assert found.quality is None
  by_counts = run.classify(X)
  np.testing.assert_allclose(by_counts.probabilities, bayes(X, (COUNTS + 1) / (COUNTS.sum() + 2)), rtol=1e-5)
  assert not by_counts.posterior.errors.any()  # exact


def test_labels_share_the_draws_of_a_bound(run):
  def noisy(params, batch, keys, *, state, train, strata=None):
    noise = 3.0 * jax.vmap(jax.random.normal)(keys)
    return Bound(run.model.log_prob(params, batch, state=state) + noise, {})

  model = run.model._replace(log_prob=None, bound=noisy)
  found = run._replace(model=model).classify(X, prior="uniform", num_draws=2)
  np.testing.assert_allclose(found.probabilities, bayes(X, np.array([0.5, 0.5])), rtol=1e-4)
  np.testing.assert_allclose(found.posterior.errors, 0.0, atol=1e-4)
  assert "± Monte Carlo" in describe(found)


def test_known_labels_say_how_often_that_is_right_and_hidden_ones_do_not_count(run, tmp_path):
  path = tmp_path / "labels.jsonl"
  found = classify(run, split="test", prior="uniform", output=str(path))
  told = GIVEN[:, 0] < 2
  expected = bayes(X, np.array([0.5, 0.5]))
  assert found.quality.num_examples == told.sum() < len(X)
  assert found.quality.accuracy == pytest.approx((expected.argmax(1) == GIVEN[:, 0])[told].mean())
  loss = -np.log2(np.take_along_axis(expected, np.minimum(GIVEN, 1), 1)[told, 0]).mean()
  assert found.quality.log_loss == pytest.approx(loss, rel=1e-5)
  assert found.quality.prior_log_loss == pytest.approx(1.0)
  lines = [json.loads(line) for line in path.read_text().splitlines()]
  np.testing.assert_allclose([line["probabilities"]["blue"] for line in lines], expected[:, 1], rtol=1e-5)
  assert [line["label"] for line in lines] == [("red", "blue", None)[label] for label in GIVEN[:, 0]]
  assert f"right: {found.quality.accuracy:.4f} ±" in describe(found)
  assert "± Monte Carlo" not in describe(found)  # what is exact has none
  broken = found._replace(attribute=found.attribute._replace(values=("re\nd", "blue")))
  assert len(describe(broken).splitlines()) == len(describe(found).splitlines())


def test_what_cannot_be_classified_is_refused_in_a_line(run):
  with pytest.raises(InputError, match=r"there is no label 'colour'; did you mean 'color'\?"):
    run.classify(X, attribute="colour")
  with pytest.raises(InputError, match="the data of this run have no labels"):
    run._replace(record=RECORD._replace(attributes=())).classify(X)
  several = RECORD._replace(attributes=(*RECORD.attributes, Attribute("size", ("s", "m"))))
  with pytest.raises(InputError, match="say which by attribute: color, size"):
    run._replace(record=several).classify(X)
