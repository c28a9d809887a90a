"""Laws between distributions: maxima, differences and truncations of Gumbels, shifts, scales, orders, temperatures."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from catgen.distributions import categorical, gumbel, logistic, normal, truncated_gumbel

RNG = np.random.default_rng(0)
NUMBER = 5000


def draws(module, key, *parameters):
  return np.asarray(jax.jit(module.sample)(jax.random.key(key), *parameters), np.float64)


def test_the_largest_of_gumbels_is_a_gumbel_of_all_and_its_place_is_categorical():
  place = np.array([0.5, -1.0, 1.2])
  v = draws(gumbel, 0, np.tile(place.astype(np.float32), (NUMBER, 1)))
  law = scipy.stats.gumbel_r(np.logaddexp.reduce(place))
  assert scipy.stats.kstest(v.max(axis=1), law.cdf).pvalue > 1e-4
  counts = np.bincount(v.argmax(axis=1), minlength=3)
  assert scipy.stats.chisquare(counts, scipy.special.softmax(place) * NUMBER).pvalue > 1e-4
  means = [v.max(axis=1)[v.argmax(axis=1) == k].mean() for k in range(3)]  # and the two are independent
  np.testing.assert_allclose(means, law.mean(), atol=4.5 * law.std() / np.sqrt(counts.min()))


def test_the_difference_of_two_gumbels_is_logistic():
  one, other = (draws(gumbel, key, np.full(NUMBER, place, np.float32)) for key, place in ((1, 0.7), (2, -0.5)))
  assert scipy.stats.kstest(one - other, scipy.stats.logistic(1.2).cdf).pvalue > 1e-4


def test_gumbels_below_a_bound_are_truncated_gumbels():
  v = draws(gumbel, 3, np.full(4 * NUMBER, 0.25, np.float32))
  below = v[v < 0.6]
  truncated = draws(truncated_gumbel, 4, *(np.full(len(below), each, np.float32) for each in (0.25, 0.6)))
  assert scipy.stats.ks_2samp(below, truncated).pvalue > 1e-4


def test_a_gumbel_of_a_uniform_is_the_quantile_at_both_ends():
  log_u = np.array([-80.0, -1.0, -1e-4, -1e-20], np.float32)
  place = np.full(4, 0.5, np.float32)
  found = jax.jit(gumbel.from_log_uniform)(place, log_u)
  np.testing.assert_allclose(found, 0.5 - np.log(-log_u.astype(np.float64)), rtol=1e-6)
  np.testing.assert_allclose(jax.jit(gumbel.log_cdf)(place, found), log_u, rtol=1e-5)


FAMILY = {"normal": normal, "logistic": logistic}


@pytest.mark.parametrize("name", FAMILY)
def test_a_location_moves_and_a_scale_stretches_the_density(name):
  module, value = FAMILY[name], RNG.normal(size=20).astype(np.float32)
  log_prob = jax.jit(module.log_prob)
  zeros, ones = np.zeros(20, np.float32), np.ones(20, np.float32)
  plain = log_prob(zeros, zeros, value)
  moved = log_prob(1.5 * ones, 0.7 * ones, 1.5 + np.float32(np.exp(0.7)) * value)
  np.testing.assert_allclose(moved, np.asarray(plain) - 0.7, rtol=1e-4, atol=1e-5)


LOGITS = RNG.normal(size=(6, 5)).astype(np.float32)


@functools.cache
def entropies():
  return jax.jit(lambda p, q: (categorical.entropy(p), categorical.kl(p, q), categorical.kl(q, p)))


def test_a_constant_added_to_all_logits_changes_nothing():
  shift = 300.0
  other = LOGITS[::-1].copy()
  for found, plain in zip(entropies()(LOGITS + np.float32(shift), other), entropies()(LOGITS, other), strict=True):
    np.testing.assert_allclose(found, plain, rtol=1e-3, atol=1e-4)
  sample = jax.jit(lambda logits: categorical.sample(jax.random.key(0), logits))
  drawn = [sample(LOGITS + np.float32(by)) for by in (0.0, 8.0)]
  np.testing.assert_array_equal(*drawn)


def test_a_divergence_is_cross_entropy_less_entropy_and_not_symmetric():
  p, q = jnp.asarray(LOGITS), jnp.asarray(LOGITS[::-1].copy())
  entropy, forth, back = entropies()(p, q)
  probs = scipy.special.softmax(LOGITS.astype(np.float64), axis=1)
  log_q = scipy.special.log_softmax(LOGITS[::-1].astype(np.float64), axis=1)
  np.testing.assert_allclose(forth, -(probs * log_q).sum(axis=1) - np.asarray(entropy), rtol=1e-3, atol=1e-5)
  assert np.any(np.abs(forth - back) > 0.05)
  np.testing.assert_allclose(forth, back[::-1], rtol=1e-4, atol=1e-5)  # the pairs are the same, turned around
