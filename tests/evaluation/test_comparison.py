"""Comparisons: seeds are averaged, differences are paired by example, and other examples are refused."""

import numpy as np
import pytest

from catgen.bounds import estimate
from catgen.evaluation import results
from catgen.evaluation.comparison import Evaluation, Scores, difference, read_evaluations, read_scores, summarize
from catgen.evaluation.likelihood import Likelihood
from catgen.interfaces import InputError

COUNTS = np.array([4, 8, 8, 2, 6])
NUMBERS = np.arange(5)


def evaluation(nats, *, fingerprint="data", error=0.01):
  nats = np.asarray(nats, np.float64).reshape(-1, len(COUNTS))
  record = {
    "value": estimate(nats, COUNTS).bits,
    "monte_carlo_error": error,
    "data_fingerprint": fingerprint,
  }
  return Evaluation(record, Scores(nats, NUMBERS, COUNTS))


@pytest.fixture
def noise():
  return np.random.default_rng(0)


def test_seeds_are_averaged(noise):
  members = [evaluation(-3.0 * COUNTS + noise.normal(size=(2, 5))) for _ in range(3)]
  found = summarize(members)
  assert found.bits == pytest.approx(np.mean([m.record["value"] for m in members]))
  assert found.seed_error == pytest.approx(np.std(found.each, ddof=1) / np.sqrt(3))
  assert found.monte_carlo_error == pytest.approx(0.01 / np.sqrt(3))
  assert np.isnan(summarize(members[:1]).seed_error)


def test_difference_is_paired_by_example(noise):
  hard = -noise.uniform(1, 5, size=5) * COUNTS  # what examples cost differs far more than what the models do
  reference, other = evaluation(hard), evaluation(hard - 0.1 * np.log(2) * COUNTS)
  found = difference([other], [reference])
  assert found.bits == pytest.approx(0.1)
  assert found.error == pytest.approx(0.0, abs=1e-12)
  assert summarize([other]).data_error > 0.1


def of_a_stream(nats, **said):
  """An evaluation of as many pieces of one stream as there are, of eight positions each."""
  counts = np.full(len(nats), 8)
  record = {"value": 1.0, "monte_carlo_error": 0.0, "data_fingerprint": "data", **said}
  return Evaluation(record, Scores(np.asarray(nats)[None], np.arange(len(nats)), counts))


@pytest.mark.parametrize("said", [{"consecutive": True}, {"protocol": "chunks of 8 by themselves"}])
def test_errors_allow_for_pieces_of_one_stream_where_a_record_says_so(noise, said):
  """A record of before `consecutive` was kept names the protocol of a stream, and one that names it speaks for both."""
  drift = np.cumsum(noise.normal(size=60))
  plain, other = of_a_stream(drift), of_a_stream(0.5 * drift[::-1])
  pieces = of_a_stream(drift, **said)
  wanted = estimate(drift[None], np.full(60, 8), consecutive=True).data_error
  assert summarize([pieces]).data_error == pytest.approx(wanted, rel=1e-12)
  assert summarize([pieces]).data_error > 2 * summarize([plain]).data_error
  paired = difference([pieces], [other]).error
  assert paired == difference([other], [pieces]).error
  assert paired > 2 * difference([plain], [other]).error


def test_difference_is_over_the_examples_that_both_have(noise):
  reference = evaluation(noise.normal(size=5) - COUNTS)
  chosen = np.array([3, 1])
  fewer = Scores(reference.scores.nats[:, chosen] - np.log(2), NUMBERS[chosen], COUNTS[chosen])
  found = difference([reference._replace(scores=fewer)], [reference])
  assert found.num_examples == 2
  assert found.bits == pytest.approx(2 / COUNTS[chosen].sum())
  none = fewer._replace(numbers=fewer.numbers + 1000)
  with pytest.raises(InputError, match="not evaluated on the same examples"):
    difference([reference._replace(scores=none)], [reference])


def test_other_examples_are_refused(noise):
  one, other = evaluation(-COUNTS), evaluation(-COUNTS, fingerprint="other")
  with pytest.raises(InputError, match="not evaluated on the same examples"):
    difference([one], [other])
  with pytest.raises(InputError, match="not evaluated on the same examples"):
    summarize([one, one._replace(scores=one.scores._replace(numbers=NUMBERS[::-1]))])


def test_scores_are_read_where_they_were_written(tmp_path):
  nats = np.linspace(-9, -8, 10).reshape(2, 5)
  likelihood = Likelihood(
    estimate(nats, COUNTS), {}, NUMBERS, nats, COUNTS, "iwbo", 7, 2, 3.0, anatomy=None, warnings=()
  )
  record = {"split": "test", "step": 3, "ema": False, "estimator": "iwbo", "num_draws": 7, "value": 1.0}
  results.add_results(tmp_path, record)
  with pytest.raises(InputError, match=r"test_3_iwbo_7\.npz.*run launch.evaluate again"):
    read_evaluations(tmp_path, split="test")
  results.save_scores(tmp_path, record, likelihood)
  (found,) = read_evaluations(tmp_path, split="test").values()
  np.testing.assert_array_equal(found.scores.nats, nats)
  np.testing.assert_array_equal(found.scores.positions, COUNTS)
  with pytest.raises(InputError, match="no evaluation of the split 'validation'"):
    read_evaluations(tmp_path, split="validation")
  with pytest.raises(InputError, match="by elbo"):
    read_evaluations(tmp_path, split="test", estimator="elbo")


def test_evaluations_with_another_context_are_another_comparison(tmp_path):
  nats = -1.0 * COUNTS[None]
  likelihood = Likelihood(
    estimate(nats, COUNTS), {}, NUMBERS, nats, COUNTS, "exact", 1, 1, None, anatomy=None, warnings=()
  )
  plain = {"split": "test", "step": 3, "ema": False, "estimator": "exact", "num_draws": 1, "value": 1.0}
  for record in (plain, {**plain, "context": 4, "value": 0.5}):
    results.add_results(tmp_path, record)
    results.save_scores(tmp_path, record, likelihood)
  for context, value in ((0, 1.0), (4, 0.5)):
    (found,) = read_evaluations(tmp_path, split="test", context=context).values()
    assert found.record["value"] == value
  with pytest.raises(InputError, match="no evaluation of the split 'test' with context 3"):
    read_evaluations(tmp_path, split="test", context=3)


def rows(noise, number=1):
  return -3.0 * COUNTS + noise.normal(size=(number, 5))


def test_a_difference_turned_around_has_the_other_sign_and_with_itself_none(noise):
  one, other = evaluation(rows(noise, 2)), evaluation(rows(noise, 3))
  there, back = difference([one], [other]), difference([other], [one])
  assert there.bits == pytest.approx(-back.bits)
  assert there.error == pytest.approx(back.error)
  assert there.bits == pytest.approx(one.record["value"] - other.record["value"])
  assert difference([one], [one]) == (0.0, 0.0, 5)


def test_differences_add_up_along_models(noise):
  a, b, c = (evaluation(rows(noise)) for _ in range(3))
  assert difference([a], [c]).bits == pytest.approx(difference([a], [b]).bits + difference([b], [c]).bits)


def test_neither_the_order_of_seeds_nor_that_of_examples_matters(noise):
  members, others = ([evaluation(rows(noise)) for _ in range(3)] for _ in range(2))
  order = noise.permutation(5)

  def reordered(each):
    scores = each.scores
    return each._replace(scores=Scores(scores.nats[:, order], scores.numbers[order], scores.positions[order]))

  np.testing.assert_allclose(summarize(members[::-1])[:4], summarize(members)[:4])
  np.testing.assert_allclose(summarize([reordered(each) for each in members])[:4], summarize(members)[:4])
  found = difference([reordered(each) for each in members[::-1]], others)
  np.testing.assert_allclose(found, difference(members, others))


def test_a_difference_is_the_float64_ratio_of_sums(noise):
  one, other = rows(noise, 4), rows(noise, 2)
  found = difference([evaluation(one)], [evaluation(other)])
  less = (other.mean(axis=0) - one.mean(axis=0)) / np.log(2)
  assert found.bits == pytest.approx(less.sum() / COUNTS.sum(), rel=1e-12)
  residual = less - found.bits * COUNTS
  assert found.error == pytest.approx(np.sqrt(5 / 4 * (residual**2).sum()) / COUNTS.sum(), rel=1e-9)


def test_an_unknown_error_of_one_seed_makes_that_of_all_unknown(noise):
  members = [evaluation(rows(noise), error=error) for error in (0.01, None)]
  assert np.isnan(summarize(members).monte_carlo_error)
  assert summarize(members[:1]).monte_carlo_error == 0.01


@pytest.mark.parametrize("content", [b"", b"PK", b"half of it", "array"])
def test_scores_that_are_damaged_are_one_line(tmp_path, content):
  path = tmp_path / "scores.npz"
  with open(path, "wb") as file:
    np.savez(file, nats=np.zeros((1, 5)), numbers=NUMBERS)  # and no positions
  if content == b"half of it":
    path.write_bytes(path.read_bytes()[:300])
  elif content != "array":
    path.write_bytes(content)
  with pytest.raises(InputError, match=r"^cannot read .*scores\.npz \(.*\); run launch\.evaluate again$") as caught:
    read_scores(path)
  assert "\n" not in str(caught.value)


def test_scores_of_examples_of_one_position_are_read(tmp_path):
  np.savez(tmp_path / "scores.npz", nats=np.zeros((1, 5)), numbers=NUMBERS, positions=np.ones(5, int))
  assert read_scores(tmp_path / "scores.npz").positions.tolist() == [1] * 5
