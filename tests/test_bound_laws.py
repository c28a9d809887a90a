"""Estimates of bits and weighted bounds: units, closed forms, and what they are indifferent to."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen import bounds

RNG = np.random.default_rng(0)
NATS, COUNTS = -20 * RNG.random((4, 12)), RNG.integers(3, 9, 12)
weighted, effective = jax.jit(bounds.importance_weighted), jax.jit(bounds.effective_sample_size)
WEIGHTS = RNG.normal(size=(6, 3)).astype(np.float32) * 2


def test_the_order_of_examples_and_of_replicates_is_no_matter():
  plain = bounds.estimate(NATS, COUNTS)
  order, other = RNG.permutation(12), RNG.permutation(4)
  np.testing.assert_allclose(bounds.estimate(NATS[other][:, order], COUNTS[order]), plain, rtol=1e-12)


def test_examples_of_one_length_have_the_standard_error_of_their_mean():
  found = bounds.estimate(NATS, np.full(12, 5))
  each = -NATS.mean(axis=0) / 5 / math.log(2)
  np.testing.assert_allclose(found.bits, each.mean(), rtol=1e-12)
  np.testing.assert_allclose(found.data_error, each.std(ddof=1) / math.sqrt(12), rtol=1e-12)


def test_the_monte_carlo_error_is_that_of_the_mean_of_replicates():
  found = bounds.estimate(NATS, COUNTS)
  whole = -NATS.sum(axis=1) / COUNTS.sum() / math.log(2)
  np.testing.assert_allclose(found.bits, whole.mean(), rtol=1e-12)
  np.testing.assert_allclose(found.monte_carlo_error, whole.std(ddof=1) / 2.0, rtol=1e-12)


def test_the_error_of_a_ratio_is_its_linearization():
  """sqrt(n / (n - 1) sum (b_i - bits c_i)^2) / sum c: nothing where every example needs the same bits a position."""
  found = bounds.estimate(NATS, COUNTS)
  own = -NATS.mean(axis=0) / math.log(2)
  residual = own - found.bits * COUNTS
  np.testing.assert_allclose(found.data_error, math.sqrt(12 / 11 * (residual**2).sum()) / COUNTS.sum(), rtol=1e-12)
  same = bounds.estimate(-1.7 * COUNTS[None].astype(float), COUNTS, exact=True)
  assert same.data_error == pytest.approx(0.0, abs=1e-12)
  assert same.bits == pytest.approx(1.7 / math.log(2))


@pytest.mark.parametrize("factor", [2, 4])
def test_more_of_the_same_examples_shrink_the_error_by_the_root_of_their_number(factor):
  one, many = bounds.estimate(NATS, COUNTS), bounds.estimate(np.tile(NATS, factor), np.tile(COUNTS, factor))
  assert many.bits == pytest.approx(one.bits, rel=1e-12)
  expected = one.data_error / math.sqrt((factor * 12 - 1) / 11)
  assert many.data_error == pytest.approx(expected, rel=1e-9)


def test_nats_added_at_every_position_are_bits_added_to_the_estimate():
  found, plain = bounds.estimate(NATS - 0.5 * COUNTS, COUNTS), bounds.estimate(NATS, COUNTS)
  np.testing.assert_allclose(found.bits - plain.bits, 0.5 / math.log(2), rtol=1e-9)
  np.testing.assert_allclose(found[1:], plain[1:], rtol=1e-9)


@pytest.mark.parametrize("positions", [1, 256, 0.5])
def test_bits_are_nats_over_ln_two_and_positions(positions):
  assert bounds.bits_per_position(positions * math.log(2.0), positions) == pytest.approx(1.0)
  np.testing.assert_allclose(bounds.bits_per_position(np.array([0.0, -math.log(8)]), positions), [0, -3 / positions])


def test_the_order_of_draws_is_no_matter_and_copies_change_no_bound():
  weights = jnp.asarray(WEIGHTS)
  plain, size = weighted(weights), effective(weights)
  turned = jnp.asarray(WEIGHTS[::-1].copy())
  np.testing.assert_allclose(weighted(turned), plain, rtol=1e-5)
  twice = jnp.asarray(np.concatenate([WEIGHTS, WEIGHTS]))
  np.testing.assert_allclose(weighted(twice), plain, rtol=1e-5)
  np.testing.assert_allclose(effective(twice), 2 * np.asarray(size), rtol=1e-5)


def test_a_weighted_bound_lies_between_the_mean_and_the_largest_logarithm():
  found = np.asarray(weighted(jnp.asarray(WEIGHTS)))
  assert np.all(found > WEIGHTS.mean(axis=0))
  assert np.all(found < WEIGHTS.max(axis=0))
  assert np.all(found >= WEIGHTS.max(axis=0) - math.log(6))


def test_where_every_draw_is_impossible_so_is_the_example():
  weights = jnp.asarray([[-math.inf, 0.0], [-math.inf, -math.inf]])
  np.testing.assert_allclose(weighted(weights), [-math.inf, -math.log(2)], rtol=1e-6)
