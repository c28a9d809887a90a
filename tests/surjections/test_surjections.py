"""Digits for every small K and M; latents in the region of their category; q(v | x) integrates to one over it."""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from catgen.interfaces import InputError
from catgen.surjections import argmax, digits, rounding

LOCATION = np.array([0.4, -0.7, 1.5], np.float32)
BASES, SIZES = [2, 3, 5, 6, 27, 300], [1, 2, 3, 8, 27, 32, 256]


def normal_noise(random, *shape, scale=1.0):
  """Returns noise and its log-density."""
  noise = scale * random.normal(size=shape)
  return noise.astype(np.float32), scipy.stats.norm.logpdf(noise, scale=scale).astype(np.float32)


def every_code(num_classes, base):
  """Returns all codes, where they are not too many."""
  count = digits.num_digits(num_classes, base)
  return np.indices((base,) * count).reshape(count, -1).T if base**count < 10_000 else None


@functools.cache
def coded():
  """Returns the code of every category, what it is decoded to, and which of all codes mean one, for every K and M."""

  def one(x, every, num_classes, base):
    code = digits.encode(x, num_classes, base)
    used = None if every is None else digits.decode(every, num_classes, base)[1]
    return code, digits.decode(code, num_classes, base), used

  cases = list(itertools.product(SIZES, BASES))
  arrays = [(np.arange(num_classes, dtype=np.int32), every_code(num_classes, base)) for num_classes, base in cases]
  together = jax.jit(lambda arrays: [one(*each, *case) for each, case in zip(arrays, cases, strict=True)])
  return dict(zip(cases, jax.tree.map(np.asarray, together(arrays)), strict=True))


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("num_classes", SIZES)
def test_digits_round_trip_and_unused_codes_mean_nothing(num_classes, base):
  count = digits.num_digits(num_classes, base)
  assert base**count >= num_classes
  assert count == 1 or base ** (count - 1) < num_classes
  code, (back, used), used_of_every = coded()[num_classes, base]
  assert code.shape == (num_classes, count)
  expected = [[int(c) for c in np.unravel_index(i, (base,) * count)] for i in range(num_classes)]
  np.testing.assert_array_equal(code, expected)
  np.testing.assert_array_equal(back, np.arange(num_classes))
  assert used.all()
  if base**count < 10_000:
    assert used_of_every.sum() == num_classes


def test_a_base_below_two_is_refused():
  with pytest.raises(InputError, match="base is 1"):
    digits.num_digits(27, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_inverse_lands_in_the_region(channels):
  random = np.random.default_rng(0)
  category = random.integers(max(channels, 2), size=2000, dtype=np.int32)
  noise, log_q = normal_noise(random, 2000, channels, scale=2.0)
  log_u = np.log(random.uniform(1e-6, 1.0, size=noise.shape)).astype(np.float32)
  location = LOCATION[None, :channels]

  @jax.jit
  def drawn(noise, log_q, log_u, category, location):
    results = (
      argmax.inverse_softplus(noise, log_q, category),
      argmax.inverse_gumbel(log_u, jnp.zeros_like(log_u), category, location),
      argmax.inverse_gumbel_thresholding(noise, log_q, category, location),
    )
    return [(result, argmax.forward(result.value)[0]) for result in results]

  for result, meant in drawn(noise, log_q, log_u, category, location):
    np.testing.assert_array_equal(meant, category)
    assert np.isfinite(np.asarray(result.log_q)).all()


@pytest.mark.parametrize("inverse", ["softplus", "gumbel", "gumbel_thresholding"])
def test_log_q_is_the_density_of_v(inverse):
  random, num, category, location = np.random.default_rng(1), 400_000, np.ones(400_000, np.int32), LOCATION[None]
  noise, log_q = normal_noise(random, num, 3)
  if inverse == "softplus":
    result = jax.jit(argmax.inverse_softplus)(noise, log_q, category)
  elif inverse == "gumbel":
    log_u = np.log(random.uniform(1e-7, 1.0, size=(num, 3))).astype(np.float32)
    result = jax.jit(argmax.inverse_gumbel)(log_u, np.zeros_like(log_u), category, location)
  else:
    result = jax.jit(argmax.inverse_gumbel_thresholding)(noise, log_q, category, location)
  value, log_q = np.asarray(result.value, np.float64), np.asarray(result.log_q).sum(-1, dtype=np.float64)
  lowest = -0.5 if inverse == "softplus" else 1.5  # f where q is not small
  # E[f(v) / q(v)] is the integral of f over the region, whatever q is: f = 1 for this product of beta densities.
  gaps = np.stack([value[:, 1] - value[:, 0], value[:, 1] - value[:, 2]])
  log_f = scipy.stats.beta(3, 3, lowest, 2).logpdf(value[:, 1]) + scipy.stats.beta(3, 3, 0.2, 1.3).logpdf(gaps).sum(0)
  ratio = np.exp(log_f - log_q)
  assert abs(ratio.mean() - 1) < 5 * ratio.std() / np.sqrt(num)
  assert ratio.std() / np.sqrt(num) < 0.02


@pytest.mark.parametrize("channels", [1, 3])
def test_gumbel_thresholding_of_extreme_logits_stays_finite(channels):
  logit = np.tile(np.array([-200.0, -90.0, 0.0, 86.0, 90.0, 200.0], np.float32)[:, None], channels)
  category, location = np.zeros(6, np.int32), LOCATION[None, :channels]

  def both(logit, location, category):
    result = argmax.inverse_gumbel_thresholding(logit, jnp.zeros_like(logit), category, location)
    return result.value.sum() + result.log_q.sum(), result

  (_, result), slopes = jax.jit(jax.value_and_grad(both, argnums=(0, 1), has_aux=True))(logit, location, category)
  chex.assert_tree_all_finite(jax.tree.map(np.asarray, (result, slopes)))


def test_rounding():
  category, forward = np.array([0, 2, 1], np.int32), jax.jit(rounding.forward)
  random = np.random.default_rng(0)
  u, (logit, log_q) = random.uniform(size=(3, 3)).astype(np.float32), normal_noise(random, 3, 3)
  for result in (
    jax.jit(rounding.inverse_uniform)(u, np.zeros_like(u), category),
    jax.jit(rounding.inverse_variational)(logit, log_q, category),
  ):
    x, used = forward(result.value)
    np.testing.assert_array_equal(x, category)
    assert np.all(used)
  outside = [[0.5, 0.5, 0.5], [1.5, 1.2, 0.1], [-0.1, 1.2, 0.3], [2.1, 0.0, 0.0]]
  x, used = forward(np.array(outside, np.float32))
  assert not np.any(used)
  np.testing.assert_array_equal(x, 0)
