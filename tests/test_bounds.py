"""Draws of a bound put together: on a latent of five values everything is known by enumeration."""

import itertools
import math

import jax
import numpy as np
import pytest

from catgen import bounds

RNG = np.random.default_rng(0)
JOINT = RNG.dirichlet(np.ones(5)) * 0.3  # p(x, z) of one x
POSTERIOR = RNG.dirichlet(np.ones(5))  # q(z | x)
LOG_WEIGHTS = np.log(JOINT) - np.log(POSTERIOR)
LOG_P = math.log(JOINT.sum())


def expected_bound(draws: int) -> float:
  """Returns the expectation of the importance-weighted bound: over all 5^draws latents."""
  latents = np.array(list(itertools.product(range(5), repeat=draws)))
  values = bounds.importance_weighted(LOG_WEIGHTS[latents].T.astype(np.float32))
  return float(POSTERIOR[latents].prod(axis=1) @ np.asarray(values, np.float64))


def test_one_draw_is_the_elbo():
  np.testing.assert_allclose(expected_bound(1), POSTERIOR @ LOG_WEIGHTS, rtol=1e-6)


def test_more_draws_come_nearer_to_log_p_from_below():
  found = [expected_bound(draws) for draws in range(1, 6)]
  assert np.all(np.diff(found) > 1e-4)
  assert found[-1] < LOG_P
  # The gap shrinks like var(w) / (2 draws p^2).
  variance = POSTERIOR @ np.square(np.exp(LOG_WEIGHTS)) / JOINT.sum() ** 2 - 1
  assert LOG_P - found[-1] == pytest.approx(variance / 10, rel=0.5)


def test_with_the_true_posterior_every_draw_is_log_p():
  weights = (np.log(JOINT) - np.log(JOINT / JOINT.sum())).astype(np.float32)
  np.testing.assert_allclose(bounds.importance_weighted(weights[:, None]), LOG_P, rtol=1e-6)
  np.testing.assert_allclose(bounds.effective_sample_size(weights[:, None]), 5.0, rtol=1e-5)


@pytest.mark.parametrize("shift", [-5000.0, 0.0, 5000.0])
def test_large_logarithms_neither_overflow_nor_vanish(shift):
  weights = np.array([[0.0, 1.0], [2.0, -1.0], [1.0, 0.5]], np.float32)
  plain, size = np.asarray(bounds.importance_weighted(weights)), bounds.effective_sample_size(weights)
  shifted = weights + np.float32(shift)
  np.testing.assert_allclose(bounds.importance_weighted(shifted), plain + shift, rtol=1e-6, atol=1e-3)
  np.testing.assert_allclose(bounds.effective_sample_size(shifted), size, rtol=5e-3)
  np.testing.assert_allclose(plain, np.log(np.exp(np.asarray(weights, np.float64)).mean(axis=0)), rtol=1e-6)


@pytest.mark.parametrize("draws", [1, 2, 10, 1000])
def test_effective_sample_size_lies_between_one_and_the_draws(draws):
  weights = np.random.default_rng(draws).normal(size=(draws, 20)) * np.linspace(0.0, 10.0, 20)
  weights = weights.astype(np.float32)
  size = np.asarray(bounds.effective_sample_size(weights))
  assert np.all((size >= 1 - 1e-4) & (size <= draws * (1 + 1e-4)))
  np.testing.assert_allclose(size[0], draws, rtol=1e-4)  # all weights are equal
  w = np.exp(np.asarray(weights, np.float64))
  np.testing.assert_allclose(size, w.sum(0) ** 2 / (w**2).sum(0), rtol=1e-4)


def test_one_weight_above_all_counts_as_one_draw_and_impossible_ones_as_none():
  weights = np.array([[100.0, 0.0], [0.0, -np.inf], [0.0, 0.0]], np.float32)
  np.testing.assert_allclose(bounds.effective_sample_size(weights), [1.0, 2.0], rtol=1e-5)
  np.testing.assert_allclose(bounds.importance_weighted(weights), [100 - math.log(3), math.log(2 / 3)], rtol=1e-5)


def test_the_gradient_is_the_weighted_mean_of_the_gradients():
  weights = LOG_WEIGHTS[:, None].astype(np.float32)
  got = jax.jit(jax.grad(lambda w: bounds.importance_weighted(w).sum()))(weights)
  np.testing.assert_allclose(np.asarray(got)[:, 0], np.exp(LOG_WEIGHTS) / np.exp(LOG_WEIGHTS).sum(), rtol=1e-5)


@pytest.mark.parametrize("num_classes", [2, 27, 256])
def test_a_uniform_guess_needs_log2_k_bits(num_classes):
  nats = np.full(3, 10 * math.log(num_classes))
  np.testing.assert_allclose(bounds.bits_per_position(nats, 10), math.log2(num_classes))
  assert bounds.bits_per_position(10 * math.log(num_classes), 10) == pytest.approx(math.log2(num_classes))


# Examples of different lengths, whose bounds have a part that the data moves and a part that the draws move.
COUNTS = RNG.integers(5, 40, 300)
BY_EXAMPLE = -1.3 * COUNTS + np.sqrt(COUNTS) * RNG.normal(size=300)


def replicates(number: int, rng, noise: float = 2.0) -> np.ndarray:
  return BY_EXAMPLE[None] + noise * rng.normal(size=(number, 300))


def test_bits_are_all_nats_over_all_positions():
  nats = replicates(4, RNG)
  expected = -nats.mean() * 300 / COUNTS.sum() / math.log(2)
  assert bounds.estimate(nats, COUNTS).bits == pytest.approx(expected, rel=1e-9)


def test_the_error_over_examples_is_that_of_drawing_them_again():
  claimed = bounds.estimate(BY_EXAMPLE[None], COUNTS, exact=True)
  rows = np.random.default_rng(1).integers(300, size=(4000, 300))
  drawn = -BY_EXAMPLE[rows].sum(axis=1) / COUNTS[rows].sum(axis=1) / math.log(2)
  assert claimed.data_error == pytest.approx(drawn.std(), rel=0.06)  # a bootstrap of 4000 is good to one in 90
  assert claimed.monte_carlo_error == 0.0


def test_the_error_over_replicates_is_that_of_estimating_again():
  rng = np.random.default_rng(2)
  found = [bounds.estimate(replicates(8, rng), COUNTS) for _ in range(800)]
  spread = np.std([each.bits for each in found])
  claimed = math.sqrt(np.mean([each.monte_carlo_error**2 for each in found]))
  assert claimed == pytest.approx(spread, rel=0.1)


def test_the_two_errors_are_of_different_things():
  few, many = (bounds.estimate(replicates(number, np.random.default_rng(3)), COUNTS) for number in (4, 400))
  assert many.monte_carlo_error < few.monte_carlo_error / 3
  assert many.data_error == pytest.approx(few.data_error, rel=0.2)  # more draws tell nothing about other data
  quiet = bounds.estimate(replicates(4, np.random.default_rng(3), noise=0.0), COUNTS)
  assert quiet.monte_carlo_error == pytest.approx(0.0, abs=1e-12)
  assert quiet.data_error > 0


@pytest.mark.parametrize(
  ("nats", "exact", "unknown"),
  [
    (np.zeros((1, 3)), False, ["monte_carlo_error"]),
    (np.zeros((1, 3)), True, []),
    (np.zeros((2, 1)), False, ["data_error"]),
    (np.zeros((1, 1)), False, ["data_error", "monte_carlo_error"]),
  ],
)
def test_an_error_that_cannot_be_known_is_nan(nats, exact, unknown):
  found = bounds.estimate(nats, np.ones(nats.shape[1], int), exact=exact)
  assert [name for name, value in found._asdict().items() if math.isnan(value)] == unknown


def test_numbers_are_summed_in_float64():
  nats = np.full((1, 100_000), -0.1, np.float32)
  exact = float(np.float32(0.1)) / math.log(2)
  assert bounds.estimate(nats, np.ones(100_000, int), exact=True).bits == pytest.approx(exact, rel=1e-12)
