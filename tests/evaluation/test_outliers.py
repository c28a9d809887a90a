"""Percentiles and separation against brute force, and how steady scores are that share their draws."""

import itertools

import jax
import numpy as np
import pytest

from catgen.evaluation import likelihood, outliers
from tests.evaluation.mixtures import make_parameters, mixture, walk


def test_percentiles_and_separation_by_comparing_all_pairs():
  rng = np.random.default_rng(0)
  bits, reference = rng.integers(0, 9, 40) / 4, rng.integers(0, 12, 30) / 4  # many ties
  higher = np.array([[(a > b) + 0.5 * (a == b) for b in reference] for a in bits])
  np.testing.assert_allclose(outliers.percentiles(bits, reference), 100 * higher.mean(axis=1), rtol=1e-12)
  found = outliers.separation(bits, reference)
  assert found.probability == pytest.approx(higher.mean(), rel=1e-12)
  assert found.probability + outliers.separation(reference, bits).probability == pytest.approx(1.0)
  placements = (np.append(higher.mean(axis=axis), [0, 1]) for axis in (0, 1))
  assert found.error == pytest.approx(np.sqrt(sum(each.var() / len(each) for each in placements)), rel=1e-12)


def test_the_ends_and_an_impossible_example():
  reference = np.array([1.0, 2.0, 3.0, 4.0])
  np.testing.assert_array_equal(outliers.percentiles(np.array([0.0, 4.0, 9.0, np.inf]), reference), [0, 87.5, 100, 100])
  assert outliers.separation(reference + 9, reference) == (1.0, pytest.approx(np.sqrt(2 * (5 / 36) / 6)))
  assert np.isnan(outliers.separation(np.array([2.0]), reference).error)


def test_the_error_of_separation_is_its_spread():
  rng = np.random.default_rng(1)
  found = [outliers.separation(rng.normal(0.7, 1, 60), rng.normal(0, 1, 80)) for _ in range(400)]
  assert np.std([each.probability for each in found]) == pytest.approx(
    np.mean([each.error for each in found]), rel=0.12
  )


def scored(model, params, x, valid, **changes):
  settings = {"estimator": "elbo", "num_draws": 2, "num_replicates": 2, "key": jax.random.key(3), **changes}
  return likelihood.evaluate(model, params, {}, walk(x, valid, 4), **settings)


def test_bits_of_examples_are_those_of_the_likelihood():
  model, params = mixture(4, 3), make_parameters(np.random.default_rng(2))
  x = np.array(list(itertools.product(range(3), repeat=4))[:10], np.int32)
  valid = np.arange(4)[None] < np.array([4, 3, 2, 1, 4, 4, 4, 4, 4, 4])[:, None]
  exact = scored(model, params, x, valid, estimator="exact")
  found = outliers.example_bits(exact.nats, exact.positions, exact=True)
  np.testing.assert_allclose(found.bits, -exact.nats[0] / np.log(2) / valid.sum(axis=1), rtol=1e-12)
  np.testing.assert_array_equal(found.errors, 0)
  drawn = scored(model, params, x, valid)
  found = outliers.example_bits(drawn.nats, drawn.positions)
  each = -drawn.nats / np.log(2) / valid.sum(axis=1)
  np.testing.assert_allclose(found.errors, np.abs(each[0] - each[1]) / 2, rtol=1e-9)
  assert np.isnan(outliers.example_bits(drawn.nats[:1], drawn.positions).errors).all()


def test_equal_examples_get_equal_scores_only_with_the_same_draws():
  model, params = mixture(4, 3), make_parameters(np.random.default_rng(4))
  x, valid = np.tile(np.array([[0, 1, 2, 1]], np.int32), (9, 1)), np.ones((9, 4), bool)
  shared, own = (scored(model, params, x, valid, same_draws=same) for same in (True, False))
  assert (shared.nats == shared.nats[:, :1]).all()
  assert not (own.nats == own.nats[:, :1]).all()
  assert shared.numbers.tolist() == list(range(9))
  assert not np.array_equal(shared.nats[0], shared.nats[1])  # replicates still differ


@pytest.mark.parametrize("grow", [lambda x: 3 * x + 7, np.exp, np.cbrt], ids=["line", "exp", "root"])
def test_ranks_alone_decide(grow):
  rng = np.random.default_rng(5)
  bits, reference = rng.integers(-4, 5, 20) / 2, rng.integers(-4, 5, 33) / 2
  np.testing.assert_array_equal(
    outliers.percentiles(grow(bits), grow(reference)), outliers.percentiles(bits, reference)
  )
  assert outliers.separation(grow(bits), grow(reference)) == outliers.separation(bits, reference)


def test_neither_set_is_ordered_and_repeating_the_reference_moves_nothing():
  rng = np.random.default_rng(6)
  bits, reference = rng.normal(size=20), rng.normal(size=33)
  expected = outliers.percentiles(bits, reference)
  np.testing.assert_array_equal(outliers.percentiles(bits[::-1], reference[::-1])[::-1], expected)
  np.testing.assert_allclose(outliers.percentiles(bits, np.tile(reference, 3)), expected)
  assert (np.diff(outliers.percentiles(np.sort(bits), reference)) >= 0).all()


def test_turned_around_a_percentile_is_what_is_missing_to_a_hundred():
  bits, reference = np.array([1.0, 2.0, 2.5]), np.array([2.0, 1.0, 2.0, 7.0])
  np.testing.assert_allclose(outliers.percentiles(-bits, -reference), 100 - outliers.percentiles(bits, reference))
  assert outliers.separation(reference, reference).probability == 0.5


def test_an_impossible_example_needs_infinitely_many_bits_and_is_the_least_likely():
  found = outliers.example_bits(np.array([[-1.0, -np.inf], [-3.0, -np.inf]]), np.array([2, 2]))
  assert found.bits[0] == pytest.approx(1 / np.log(2))
  assert found.errors[0] == pytest.approx(np.sqrt(2) * 0.5 / np.log(2) / np.sqrt(2))
  assert found.bits[1] == np.inf
  assert np.isnan(found.errors[1])
  assert outliers.percentiles(found.bits, np.array([0.0, 9.0])).tolist() == [50.0, 100.0]
