"""Bayes' rule by a table of probabilities, its Monte Carlo error, and how well labels are told."""

import math

import numpy as np
import pytest

from catgen.evaluation import classification, shares

RNG = np.random.default_rng(0)
JOINT = RNG.dirichlet(np.ones(12)).reshape(4, 3)  # p(x, y) of four events and three labels
PRIOR = JOINT.sum(0)
NATS = np.log(JOINT / PRIOR)


def test_posteriors_are_those_of_bayes_rule():
  found = classification.posterior(NATS[None], np.log(PRIOR), exact=True)
  np.testing.assert_allclose(np.exp(found.log_probs), JOINT / JOINT.sum(1, keepdims=True), rtol=1e-12)
  assert not found.errors.any()
  assert np.isnan(classification.posterior(NATS[None], np.log(PRIOR)).errors).all()


def test_what_all_labels_lose_alike_changes_nothing_and_draws_have_an_error():
  noise = RNG.normal(size=(400, 4, 1))
  shared = classification.posterior(NATS + noise, np.log(PRIOR))
  np.testing.assert_allclose(np.exp(shared.log_probs), JOINT / JOINT.sum(1, keepdims=True), rtol=1e-9)
  np.testing.assert_allclose(shared.errors, 0.0, atol=1e-12)
  small = 0.01 * RNG.normal(size=(400, 4, 3))  # small enough for the error of a difference: dp = p (d - sum p d)
  found, p = classification.posterior(NATS + small, np.log(PRIOR)), JOINT / JOINT.sum(1, keepdims=True)
  expected = 0.01 / math.sqrt(400) * p * np.sqrt((1 - p) ** 2 + (p**2).sum(1, keepdims=True) - p**2)
  np.testing.assert_allclose(found.errors, expected, rtol=0.2)


def test_frequencies_leave_no_label_impossible():
  np.testing.assert_allclose(np.exp(classification.log_prior_of(np.array([3, 0, 5]))), np.array([4, 1, 6]) / 11)


def test_quality_is_counted_beside_the_most_frequent_label():
  log_probs = np.log([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.25, 0.25], [0.25, 0.25, 0.5]])
  found = classification.quality(log_probs, np.array([0, 1, 1, 2]), np.log([0.25, 0.5, 0.25]))
  assert found.accuracy == 0.75
  assert found.accuracy_error == shares.error(np.array([1, 1, 0, 1]), np.ones(4))
  losses = -np.log2([0.7, 0.8, 0.25, 0.5])
  assert found.log_loss == pytest.approx(losses.mean())
  assert found.log_loss_error == pytest.approx(losses.std(ddof=1) / 2)
  assert (found.prior_accuracy, found.prior_log_loss) == (0.5, pytest.approx(1.5))
  assert found.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
