"""Digits for every small K and M; latents in the region of their category; q(v | x) integrates to one over it."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from catgen.distributions import normal
from catgen.interfaces import InputError
from catgen.surjections import argmax, digits, rounding

LOCATION = jnp.array([0.4, -0.7, 1.5])


@pytest.mark.parametrize("base", [2, 3, 5, 6, 27, 300])
@pytest.mark.parametrize("num_classes", [1, 2, 3, 8, 27, 32, 256])
def test_digits_round_trip_and_unused_codes_mean_nothing(num_classes, base):
  count = digits.num_digits(num_classes, base)
  assert base**count >= num_classes
  assert count == 1 or base ** (count - 1) < num_classes
  x = jnp.arange(num_classes)
  code = digits.encode(x, num_classes, base)
  assert code.shape == (num_classes, count)
  expected = [[int(c) for c in np.unravel_index(i, (base,) * count)] for i in range(num_classes)]
  np.testing.assert_array_equal(code, expected)
  back, used = digits.decode(code, num_classes, base)
  np.testing.assert_array_equal(back, x)
  assert bool(jnp.all(used))
  if base**count < 10_000:
    every = jnp.asarray(np.indices((base,) * count).reshape(count, -1).T)
    assert int(digits.decode(every, num_classes, base)[1].sum()) == num_classes


def test_a_base_below_two_is_refused():
  with pytest.raises(InputError, match="base is 1"):
    digits.num_digits(27, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_inverse_lands_in_the_region(channels):
  num = max(channels, 2)
  keys = jax.random.split(jax.random.key(0), 3)
  category = jax.random.randint(keys[0], (2000,), 0, num)
  noise = 2 * jax.random.normal(keys[1], (2000, channels))
  location = LOCATION[None, :channels]
  log_q = normal.log_prob(jnp.zeros(noise.shape), jnp.full(noise.shape, np.log(2.0)), noise)
  log_u = jnp.log(jax.random.uniform(keys[2], noise.shape, minval=1e-6))

  @jax.jit
  def drawn():
    return (
      argmax.inverse_softplus(noise, log_q, category),
      argmax.inverse_gumbel(log_u, jnp.zeros_like(log_u), category, location),
      argmax.inverse_gumbel_thresholding(noise, log_q, category, location),
    )

  for result in drawn():
    np.testing.assert_array_equal(argmax.forward(result.value)[0], category)
    assert bool(jnp.all(jnp.isfinite(result.log_q)))


@pytest.mark.parametrize("inverse", ["softplus", "gumbel", "gumbel_thresholding"])
def test_log_q_is_the_density_of_v(inverse):
  num, category = 400_000, jnp.ones((400_000,), jnp.int32)
  keys = jax.random.split(jax.random.key(1), 2)
  location = jnp.array([[0.4, -0.7, 1.5]])
  noise = jax.random.normal(keys[0], (num, 3))
  log_q = normal.log_prob(jnp.zeros(noise.shape), jnp.zeros(noise.shape), noise)
  if inverse == "softplus":
    result = jax.jit(argmax.inverse_softplus)(noise, log_q, category)
  elif inverse == "gumbel":
    log_u = jnp.log(jax.random.uniform(keys[1], noise.shape, minval=1e-7))
    result = jax.jit(argmax.inverse_gumbel)(log_u, jnp.zeros_like(log_u), category, location)
  else:
    result = jax.jit(argmax.inverse_gumbel_thresholding)(noise, log_q, category, location)
  value, log_q = np.asarray(result.value, np.float64), np.asarray(result.log_q.sum(-1), np.float64)
  lowest = -0.5 if inverse == "softplus" else 1.5  # f where q is not small
  # E[f(v) / q(v)] is the integral of f over the region, whatever q is: f = 1 for this product of beta densities.
  gaps = np.stack([value[:, 1] - value[:, 0], value[:, 1] - value[:, 2]])
  log_f = scipy.stats.beta(3, 3, lowest, 2).logpdf(value[:, 1]) + scipy.stats.beta(3, 3, 0.2, 1.3).logpdf(gaps).sum(0)
  ratio = np.exp(log_f - log_q)
  assert abs(ratio.mean() - 1) < 5 * ratio.std() / np.sqrt(num)
  assert ratio.std() / np.sqrt(num) < 0.02


@pytest.mark.parametrize("channels", [1, 3])
def test_gumbel_thresholding_of_extreme_logits_stays_finite(channels):
  logit = jnp.broadcast_to(jnp.array([-200.0, -90.0, 0.0, 86.0, 90.0, 200.0])[:, None], (6, channels))
  category, location = jnp.zeros(6, int), LOCATION[None, :channels]

  def both(logit, location):
    result = argmax.inverse_gumbel_thresholding(logit, jnp.zeros_like(logit), category, location)
    return result.value.sum() + result.log_q.sum(), result

  (_, result), gradients = jax.jit(jax.value_and_grad(both, argnums=(0, 1), has_aux=True))(logit, location)
  chex.assert_tree_all_finite((result, gradients))


def test_rounding():
  category = jnp.array([0, 2, 1])
  u = jax.random.uniform(jax.random.key(0), (3, 3))
  logit = jax.random.normal(jax.random.key(1), (3, 3))
  for result in (
    rounding.inverse_uniform(u, jnp.zeros_like(u), category),
    rounding.inverse_variational(logit, -0.5 * logit**2, category),
  ):
    x, used = rounding.forward(result.value)
    np.testing.assert_array_equal(x, category)
    assert bool(jnp.all(used))
  outside = jnp.array([[0.5, 0.5, 0.5], [1.5, 1.2, 0.1], [-0.1, 1.2, 0.3], [2.1, 0.0, 0.0]])
  x, used = rounding.forward(outside)
  assert not bool(jnp.any(used))
  np.testing.assert_array_equal(x, 0)
