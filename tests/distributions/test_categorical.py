"""The categorical distribution against float64 references, and its sampler on rare classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from catgen.distributions import categorical
from tests.compiling import OPTIMIZED

log_prob = jax.jit(categorical.log_prob)
log_prob_slopes = jax.jit(jax.vmap(jax.grad(categorical.log_prob), in_axes=(None, 0)))
entropy_and_slope = jax.jit(jax.value_and_grad(categorical.entropy))
kl_and_slope = jax.jit(jax.value_and_grad(categorical.kl, argnums=1))
sample_each = jax.jit(categorical.sample_each)


def reference(logits):
  return scipy.special.log_softmax(np.asarray(logits, np.float64), axis=-1)


LOGITS = {
  "uniform": np.zeros(2),
  "of a text": 3 * np.random.default_rng(0).normal(size=27),
  "nearly certain": np.array([40.0, 0.0, -40.0]),
  "far from zero": np.array([1e4, 1e4 - 1.0, 1e4 + 2.0]),
  "with an impossible class": np.array([0.5, -np.inf, 1.0]),
  "of one class": np.array([3.0]),
}
OTHER = np.random.default_rng(1)


@pytest.fixture(params=LOGITS)
def logits(request):
  return LOGITS[request.param].astype(np.float32)


def test_probabilities_are_those_of_float64_and_sum_to_one(logits):
  log_p = log_prob(np.broadcast_to(logits, (len(logits), len(logits))), np.arange(len(logits)))
  np.testing.assert_allclose(log_p, reference(logits), rtol=1e-6, atol=1e-3 if logits.max() > 1e3 else 1e-6)
  np.testing.assert_allclose(
    np.exp(np.asarray(log_p, np.float64)).sum(), 1.0, rtol=1e-3 if logits.max() > 1e3 else 1e-6
  )


def test_the_slope_of_a_log_probability_is_the_class_less_the_probabilities(logits):
  for value, slope in enumerate(np.asarray(log_prob_slopes(logits, np.arange(len(logits))))):
    if np.isfinite(logits[value]):
      expected = np.eye(len(logits))[value] - np.exp(reference(logits))
      np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-6)


def test_entropy_and_its_slope_match_float64(logits):
  p = np.exp(reference(logits))
  log_p = np.where(p > 0, np.log(np.maximum(p, 1e-300)), 0.0)
  entropy, slope = entropy_and_slope(logits)
  np.testing.assert_allclose(entropy, -(p * log_p).sum(), rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(slope, -p * (log_p - (p * log_p).sum()), rtol=1e-3, atol=2e-6)
  assert -1e-6 <= entropy <= np.log(len(logits)) + 1e-6


def test_kl_matches_float64_is_not_negative_and_zero_at_home(logits):
  other = OTHER.normal(size=logits.shape).astype(np.float32)
  log_p, log_q = reference(logits), reference(other)
  p = np.exp(log_p)
  expected = (p * np.where(p > 0, log_p - log_q, 0.0)).sum()
  got, slope = kl_and_slope(logits, other)
  np.testing.assert_allclose(got, expected, rtol=2e-4, atol=1e-6)
  np.testing.assert_allclose(slope, np.exp(log_q) - p, rtol=1e-3, atol=1e-5)
  np.testing.assert_allclose(kl_and_slope(logits, logits)[0], 0.0, atol=1e-6)
  assert expected >= 0


@pytest.mark.parametrize("wide", [categorical.WIDE, 1])
def test_draws_have_the_frequencies_and_no_impossible_class(wide, logits, monkeypatch):
  """Also where a block of classes is drawn first, as among more than WIDE of them."""
  monkeypatch.setattr(categorical, "WIDE", wide)
  draws = jax.jit(lambda *each: categorical.sample(*each))(
    jax.random.key(2), np.broadcast_to(logits, (50_000, len(logits)))
  )
  counts, expected = np.bincount(np.asarray(draws), minlength=len(logits)), np.exp(reference(logits)) * 50_000
  seen = expected > 1
  assert np.all(counts[expected == 0] == 0)
  if seen.sum() > 1:
    scaled = expected[seen] * counts[seen].sum() / expected[seen].sum()
    assert scipy.stats.chisquare(counts[seen], scaled).pvalue > 1e-4


def test_taking_and_indicating_are_indexing():
  values = OTHER.normal(size=(2, 3, 5)).astype(np.float32)
  index = OTHER.integers(5, size=(2, 3)).astype(np.int32)
  expected = np.take_along_axis(values, index[..., None], -1)[..., 0]
  np.testing.assert_array_equal(jax.jit(categorical.take)(values, index), expected)
  indicator = np.asarray(jax.jit(lambda index: categorical.indicator(index, 5))(index))
  np.testing.assert_array_equal(values[indicator], expected.ravel())
  assert indicator.dtype == bool


def test_certain_booleans_are_certain_and_others_have_their_frequency():
  keys, probability = jax.random.split(jax.random.key(3), 4), np.array([0.0, 1.0, 0.25, 1e-3], np.float32)
  draw = jax.jit(lambda keys, probability: categorical.bernoulli_each(keys, probability, (100, 500)))
  drawn = np.asarray(draw(keys, probability))
  assert drawn.shape == (4, 100, 500)
  assert not drawn[0].any()
  assert drawn[1].all()
  for row, p in zip(drawn[2:], (0.25, 1e-3), strict=True):
    assert scipy.stats.binomtest(int(row.sum()), row.size, p).pvalue > 1e-4


def test_impossible_classes_contribute_nothing_and_keep_gradients_finite():
  logits = np.array([0.0, 1.0, -np.inf], np.float32)
  np.testing.assert_allclose(entropy_and_slope(logits)[0], entropy_and_slope(logits[:2])[0], rtol=1e-6)
  np.testing.assert_allclose(kl_and_slope(logits, logits)[0], 0.0, atol=1e-7)
  assert kl_and_slope(np.zeros(3, np.float32), logits)[0] == np.inf
  gradient = jax.jit(jax.grad(lambda finite: categorical.entropy(jnp.append(finite, -jnp.inf))))(logits[:2])
  assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("wide", [categorical.WIDE, 1])
def test_rare_classes_are_drawn(wide, monkeypatch):
  monkeypatch.setattr(categorical, "WIDE", wide)
  logits = np.log(np.array([1.0, 4e-7], np.float32))

  def count(key):
    return (categorical.sample(key, jnp.broadcast_to(logits, (2_000_000, 2))) == 1).sum()

  draw = jax.jit(count, compiler_options=OPTIMIZED)
  total = sum(int(draw(jax.random.key(seed))) for seed in range(5))
  assert 0 < total < 16  # 4 expected


def test_each_example_has_its_own_draw():
  keys = jax.random.split(jax.random.key(0), 4)
  logits = np.zeros((4, 10, 5), np.float32)
  together = sample_each(keys, logits)
  alone = sample_each(keys[2:3], logits[2:3])
  np.testing.assert_array_equal(together[2:3], alone)
