"""Corrupting and correcting, against Bayes' rule by enumeration and against counts made by hand."""

import itertools

import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.evaluation import spelling
from catgen.interfaces import Denoised, EventSpec, InputError
from tests.evaluation.mixtures import make_parameters, mixture

LENGTH, CLASSES = 4, 3
PARAMS = make_parameters(np.random.default_rng(7), num_components=2, num_classes=CLASSES)
MODEL = mixture(LENGTH, CLASSES)


def examples(rng, number):
  """Draws from the model itself."""
  z = rng.choice(2, number, p=np.exp(np.asarray(PARAMS["log_prior"], np.float64)))
  thresholds = np.cumsum(np.exp(np.asarray(PARAMS["log_theta"], np.float64)), axis=1)[z][:, None]
  return np.minimum((rng.random((number, LENGTH, 1)) > thresholds).sum(axis=-1), CLASSES - 1).astype(np.int32)


def square(model):
  """The same model of maps of 2 x 2."""

  def denoise(params, x, valid, noise_level, *, given=None, state):
    flat = model.denoise(params, x.reshape(-1, LENGTH), valid.reshape(-1, LENGTH), noise_level, state=state)
    return Denoised(*(log_probs.reshape(-1, 2, 2, CLASSES) for log_probs in flat))

  return model._replace(event=EventSpec((2, 2), CLASSES), denoise=denoise)


def test_corruption_has_the_rate_and_hits_every_other_category_alike():
  rng, x = np.random.default_rng(0), np.full((200, 100), 2, np.int32)
  valid = np.broadcast_to(np.arange(100)[None] < 90, x.shape)
  y = spelling.corrupt(rng, batch_of(x, valid), 0.2, 5).x
  assert y.dtype == x.dtype
  assert (y == x)[~valid].all()
  wrong = y[(y != x) & valid]
  assert abs(wrong.size / valid.sum() - 0.2) < 4 * np.sqrt(0.16 / valid.sum())
  counts = np.bincount(wrong, minlength=5)
  assert counts[2] == 0
  assert np.abs(counts[[0, 1, 3, 4]] / wrong.size - 0.25).max() < 4 * np.sqrt(0.1875 / wrong.size)


def test_bayes_takes_the_likeliest_category_of_the_enumerated_posterior():
  rate, rng = 0.15, np.random.default_rng(1)
  typed = rng.integers(0, CLASSES, (50, LENGTH)).astype(np.int32)
  prior, theta = (np.exp(np.asarray(PARAMS[n], np.float64)) for n in ("log_prior", "log_theta"))
  clean = np.array(list(itertools.product(range(CLASSES), repeat=LENGTH)))
  p_clean = (prior[:, None] * np.prod([theta[:, clean[:, d]] for d in range(LENGTH)], axis=0)).sum(axis=0)
  result = spelling.correct(MODEL, PARAMS, {}, batch_of(typed), rate)
  for row in range(50):
    channel = np.where(clean == typed[row], 1 - rate, rate / (CLASSES - 1)).prod(axis=1)
    joint = p_clean * channel
    marginal = np.array([[joint[clean[:, d] == k].sum() for k in range(CLASSES)] for d in range(LENGTH)]) / joint.sum()
    np.testing.assert_array_equal(result.x[row], marginal.argmax(axis=1))
    np.testing.assert_allclose(result.probability[row], marginal.max(axis=1), rtol=1e-4)
  np.testing.assert_array_equal(result.changed, result.x != typed)


def test_bayes_leaves_all_as_typed_where_no_error_is_assumed_and_paper_does_not():
  typed = np.random.default_rng(2).integers(0, CLASSES, (50, LENGTH)).astype(np.int32)
  assert not spelling.correct(MODEL, PARAMS, {}, batch_of(typed), 0.0).changed.any()
  assert spelling.correct(MODEL, PARAMS, {}, batch_of(typed), 0.0, method="paper").changed.any()


def test_invalid_positions_stay():
  typed, valid = np.zeros((50, LENGTH), np.int32), np.zeros((50, LENGTH), bool)
  assert not spelling.correct(MODEL, PARAMS, {}, batch_of(typed, valid), 0.5, method="paper").changed.any()


def test_scores_are_the_counts_of_a_correction_made_by_hand():
  x = examples(np.random.default_rng(3), 90)
  valid = np.broadcast_to(np.arange(LENGTH)[None] < 3, x.shape)
  batch = batch_of(x, valid)
  scores = spelling.score(MODEL, PARAMS, {}, batch, rng=np.random.default_rng(4), rate=0.3, batch_size=50)
  corrupted = spelling.corrupt(np.random.default_rng(4), batch, 0.3, CLASSES)
  typed = corrupted.x
  for method, found in scores.items():
    fixed = spelling.correct(MODEL, PARAMS, {}, corrupted, 0.3, method=method).x
    wrong, clean = valid & (typed != x), valid & (typed == x)
    assert (found.repaired.hits, found.repaired.total) == ((wrong & (fixed == x)).sum(), wrong.sum())
    assert (found.broken.hits, found.broken.total) == ((clean & (fixed != x)).sum(), clean.sum())
    assert found.wrong_before.hits == wrong.sum()
    assert found.wrong_after.hits == wrong.sum() - found.repaired.hits + found.broken.hits
    assert found.wrong_after.total == valid.sum()


def test_bayes_leaves_fewest_errors():
  x = examples(np.random.default_rng(5), 4000)
  scores = spelling.score(MODEL, PARAMS, {}, batch_of(x), rng=np.random.default_rng(6), rate=0.1, batch_size=4000)
  assert scores["bayes"].wrong_after.value <= scores["bayes"].wrong_before.value
  assert scores["bayes"].wrong_after.high < scores["paper"].wrong_after.low


@pytest.mark.parametrize(
  ("model", "rate", "method", "message"),
  [
    (MODEL._replace(denoise=None), 0.1, "bayes", "no denoiser"),
    (MODEL, 0.9, "bayes", "error rate"),
    (MODEL, -0.1, "bayes", "error rate"),
    (MODEL, 0.1, "magic", "bayes, paper, channel"),
  ],
)
def test_mistakes_are_named(model, rate, method, message):
  x = np.zeros((1, LENGTH), np.int32)
  with pytest.raises(InputError, match=message):
    spelling.correct(model, PARAMS, {}, batch_of(x), rate, method=method)


def test_a_category_out_of_range_is_named():
  x = np.full((1, LENGTH), 3, np.int32)
  with pytest.raises(InputError, match=r"outside \[0, 3\)"):
    spelling.correct(MODEL, PARAMS, {}, batch_of(x), 0.1)


def test_maps_are_corrected_as_texts_are():
  x = examples(np.random.default_rng(9), 50)
  flat = spelling.correct(MODEL, PARAMS, {}, batch_of(x), 0.2)
  rows = spelling.correct(square(MODEL), PARAMS, {}, batch_of(x.reshape(-1, 2, 2)), 0.2)
  np.testing.assert_array_equal(rows.x.reshape(x.shape), flat.x)
  scores = [
    spelling.score(model, PARAMS, {}, batch_of(given), rng=np.random.default_rng(4), rate=0.3)
    for model, given in ((MODEL, x), (square(MODEL), x.reshape(-1, 2, 2)))
  ]
  assert scores[0] == scores[1]


def edited(seed=10, number=40, length=7):
  """Returns a truth with invalid positions, what was typed, and a correction of some of it."""
  rng = np.random.default_rng(seed)
  truth = batch_of(rng.integers(0, 4, (number, length)), rng.random((number, length)) < 0.8)
  typed = spelling.corrupt(rng, truth, 0.3, 4).x
  return truth, typed, np.where(rng.random(typed.shape) < 0.5, truth.x, rng.integers(0, 4, typed.shape))


def test_a_judgement_counts_position_by_position():
  truth, typed, mended = edited()
  counts = dict.fromkeys(("repaired", "broken", "wrong", "left", "clean", "valid"), 0)
  for row, column in np.ndindex(*typed.shape):
    if truth.valid[row, column]:
      true, was, now = (each[row, column] for each in (truth.x, typed, mended))
      counts["valid"] += 1
      counts["wrong"] += was != true
      counts["clean"] += was == true
      counts["repaired"] += was != true and now == true
      counts["broken"] += was == true and now != true
      counts["left"] += now != true
  found = spelling.judge(truth, typed, mended)
  assert (found.repaired.hits, found.repaired.total) == (counts["repaired"], counts["wrong"])
  assert (found.broken.hits, found.broken.total) == (counts["broken"], counts["clean"])
  assert (found.wrong_before.hits, found.wrong_before.total) == (counts["wrong"], counts["valid"])
  assert (found.wrong_after.hits, found.wrong_after.total) == (counts["left"], counts["valid"])


def test_the_truth_repairs_all_and_doing_nothing_repairs_none():
  truth, typed, _ = edited()
  best, nothing = spelling.judge(truth, typed, truth.x), spelling.judge(truth, typed, typed)
  assert (best.repaired.value, best.broken.value, best.wrong_after.value) == (1.0, 0.0, 0.0)
  assert (nothing.repaired.value, nothing.broken.value) == (0.0, 0.0)
  assert nothing.wrong_after == nothing.wrong_before


def test_invalid_positions_and_the_order_of_examples_have_no_say():
  truth, typed, mended = edited()
  noise = np.where(truth.valid, 0, 1)
  found = spelling.judge(truth, typed, mended)
  assert spelling.judge(truth, (typed + noise) % 4, (mended + noise) % 4) == found
  turned = truth._replace(x=truth.x[::-1], valid=truth.valid[::-1])
  assert spelling.judge(turned, typed[::-1], mended[::-1]) == found


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_corruption_is_the_same_for_the_same_seed_and_none_at_rate_zero(rate):
  truth, *_ = edited()
  one, other = (spelling.corrupt(np.random.default_rng(3), truth, rate, 4).x for _ in range(2))
  np.testing.assert_array_equal(one, other)
  assert (one != truth.x).any() == (rate > 0)
  assert ((one >= 0) & (one < 4)).all()


@pytest.mark.parametrize(
  ("rate", "num_classes"), [(-1e-9, 4), (0.75, 4), (1.0, 4), (0.5, 2), (float("nan"), 4), (0.0, 1)]
)
def test_a_rate_at_which_letters_tell_nothing_is_refused(rate, num_classes):
  with pytest.raises(InputError, match=r"^the error rate is .*; it must lie in \[0, "):
    spelling.check_error_rate(rate, num_classes)
