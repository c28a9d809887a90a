"""The categorical distribution against float64 references, and its sampler on rare classes."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
import scipy.stats

from catgen.distributions import categorical


def reference(logits):
  return scipy.special.log_softmax(np.asarray(logits, np.float64), axis=-1)


def test_values_match_float64():
  logits = 10 * jax.random.normal(jax.random.key(0), (5, 7))
  other = jax.random.normal(jax.random.key(1), (5, 7))
  value = jnp.array([0, 6, 3, 2, 1])
  log_p, log_q = reference(logits), reference(other)
  np.testing.assert_allclose(categorical.log_prob(logits, value), log_p[np.arange(5), value], rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(categorical.entropy(logits), -(np.exp(log_p) * log_p).sum(-1), rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(categorical.kl(logits, other), (np.exp(log_p) * (log_p - log_q)).sum(-1), rtol=1e-5)


def test_impossible_classes_contribute_nothing_and_keep_gradients_finite():
  logits = jnp.array([0.0, 1.0, -jnp.inf])
  np.testing.assert_allclose(categorical.entropy(logits), categorical.entropy(logits[:2]), rtol=1e-6)
  np.testing.assert_allclose(categorical.kl(logits, logits), 0.0, atol=1e-7)
  assert categorical.kl(jnp.zeros(3), logits) == jnp.inf
  gradient = jax.grad(lambda finite: categorical.entropy(jnp.append(finite, -jnp.inf)))(logits[:2])
  assert bool(jnp.all(jnp.isfinite(gradient)))


def test_sampler_has_the_frequencies():
  logits = jnp.array([0.0, 1.0, 2.0, -1.0])
  draws = categorical.sample(jax.random.key(0), jnp.broadcast_to(logits, (100_000, 4)))
  counts = np.bincount(np.asarray(draws), minlength=4)
  assert scipy.stats.chisquare(counts, np.exp(reference(logits)) * 100_000).pvalue > 1e-4


def test_rare_classes_are_drawn():
  logits = jnp.log(jnp.array([1.0, 4e-7]))
  draw = jax.jit(lambda key: (categorical.sample(key, jnp.broadcast_to(logits, (2_000_000, 2))) == 1).sum())
  total = sum(int(draw(jax.random.key(seed))) for seed in range(10))
  assert 0 < total < 25  # 8 expected


def test_each_example_has_its_own_draw():
  keys = jax.random.split(jax.random.key(0), 4)
  logits = jnp.zeros((4, 10, 5))
  together = categorical.sample_each(keys, logits)
  alone = categorical.sample_each(keys[2:3], logits[2:3])
  np.testing.assert_array_equal(together[2:3], alone)
