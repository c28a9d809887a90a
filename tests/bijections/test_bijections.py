"""Round trips, log-determinants against slogdet of the Jacobian in float64, and finite gradients at the edges."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from catgen.bijections import affine, gumbel_threshold, mixture_cdf, sigmoid, softplus_threshold
from catgen.distributions.logistic_mixture import Mixture

LOCATION = np.array([0.5, -1.0, 2.0, 0.1])


def softplus(x):
  return np.logaddexp(0.0, x)


def reference_threshold(u, category):
  v = u[category] - softplus(u[category] - u)
  v[category] = u[category]
  return v


def reference_gumbel(u, category, location=LOCATION):
  """The (truncated) inverse Gumbel CDFs, as in the paper's table."""
  top = np.logaddexp.reduce(location) - np.log(-np.log(u[category]))
  v = location - np.log(np.exp(location - top) - np.log(u))
  v[category] = top
  return v


def numeric_log_det(function, x, step=1e-5):
  columns = [(function(x + step * e) - function(x - step * e)) / (2 * step) for e in np.eye(len(x))]
  sign, log_det = np.linalg.slogdet(np.stack(columns, axis=1))
  assert sign != 0
  return log_det


@pytest.mark.parametrize("category", range(4))
def test_softplus_threshold(category):
  u = np.array([0.3, -2.0, 1.5, 4.0])
  result = softplus_threshold.forward(jnp.asarray(u, jnp.float32), jnp.asarray(category))
  np.testing.assert_allclose(result.value, reference_threshold(u, category), rtol=1e-5)
  expected = numeric_log_det(lambda x: reference_threshold(x, category), u)
  np.testing.assert_allclose(result.log_det.sum(), expected, rtol=1e-4)
  np.testing.assert_allclose(result.gap, result.value[category] - result.value, atol=1e-6)
  back, log_det = softplus_threshold.inverse(result.value, jnp.asarray(category))
  np.testing.assert_allclose(back, u, rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(log_det.sum(), -result.log_det.sum(), rtol=1e-4)


@pytest.mark.parametrize("category", range(4))
def test_gumbel_threshold(category):
  u = np.array([0.2, 0.9, 0.45, 0.02])
  args = jnp.asarray(category), jnp.asarray(LOCATION, jnp.float32)
  result = gumbel_threshold.forward(jnp.log(jnp.asarray(u, jnp.float32)), *args)
  np.testing.assert_allclose(result.value, reference_gumbel(u, category), rtol=1e-5, atol=1e-5)
  assert int(jnp.argmax(result.value)) == category
  expected = numeric_log_det(lambda x: reference_gumbel(x, category), u, step=1e-6)
  np.testing.assert_allclose(result.log_det.sum(), expected, rtol=1e-4)
  back, log_det = gumbel_threshold.inverse(result.value, *args)
  np.testing.assert_allclose(jnp.exp(back), u, rtol=1e-4)
  np.testing.assert_allclose(log_det.sum(), -result.log_det.sum(), rtol=1e-4)


@pytest.mark.parametrize("bit", [0, 1])
def test_binary_forms_have_the_sign_of_the_bit_and_the_right_slope(bit):
  u = jnp.linspace(-6.0, 6.0, 13)
  bits = jnp.full(u.shape, bit)
  result = softplus_threshold.forward_binary(u, bits)
  assert bool(jnp.all((result.value > 0) == bool(bit)))
  slope = jax.vmap(jax.grad(lambda v, b: softplus_threshold.forward_binary(v, b).value))(u, bits)
  np.testing.assert_allclose(result.log_det, np.log(np.abs(slope)), atol=1e-5)
  np.testing.assert_allclose(softplus_threshold.inverse_binary(result.value, bits)[0], u, rtol=1e-4, atol=1e-4)
  noise = np.linspace(0.03, 0.97, 13)
  location = jnp.full(u.shape, 0.8)
  log_u = jnp.log(jnp.asarray(noise, jnp.float32))
  result = gumbel_threshold.forward_binary(log_u, bits, location)
  assert bool(jnp.all((result.value > 0) == bool(bit)))
  slope = jax.vmap(jax.grad(lambda v, b, m: gumbel_threshold.forward_binary(jnp.log(v), b, m).value))(
    jnp.asarray(noise, jnp.float32), bits, location
  )
  np.testing.assert_allclose(result.log_det, np.log(np.abs(slope)), atol=2e-4)
  back, log_det = gumbel_threshold.inverse_binary(result.value, bits, location)
  np.testing.assert_allclose(jnp.exp(back), noise, rtol=1e-4)
  np.testing.assert_allclose(log_det, -result.log_det, atol=1e-4)


def test_binary_gumbel_is_the_difference_of_two_gumbels():
  """Of uniform noise: P(bit) times the density of z given the bit is the logistic density of the difference."""
  z = jnp.linspace(-20.0, 20.0, 81)
  bits = (z > 0).astype(jnp.int32)
  location = jnp.full(z.shape, 1.3)
  _, log_density = gumbel_threshold.inverse_binary(z, bits, location)
  log_bit = np.where(bits > 0, scipy.special.log_expit(1.3), scipy.special.log_expit(-1.3))
  np.testing.assert_allclose(log_bit + log_density, scipy.stats.logistic(1.3).logpdf(np.asarray(z)), rtol=1e-5)


def test_uniform_noise_gives_independent_gumbels_given_their_argmax():
  """P(category) q(v | category) = the product of Gumbel densities, at points of every region."""
  v = jax.random.normal(jax.random.key(0), (50, 4)) * 2
  category = jnp.argmax(v, axis=-1)
  location = jnp.asarray(LOCATION, jnp.float32)[None]
  _, log_density = gumbel_threshold.inverse(v, category, location)
  log_choice = scipy.special.log_softmax(LOCATION)[np.asarray(category)]
  product = scipy.stats.gumbel_r(LOCATION).logpdf(np.asarray(v, np.float64)).sum(-1)
  np.testing.assert_allclose(log_choice + log_density.sum(-1), product, rtol=1e-4, atol=1e-4)


def total(result):
  return result.value.sum() + result.log_det.sum()


def assert_finite(tree):
  assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("gap", [-90.0, 90.0])
def test_thresholds_are_finite_at_gaps_of_ninety(gap):
  u, category = jnp.array([0.0, gap, -gap]), jnp.asarray(0)
  assert_finite(softplus_threshold.forward(u, category))
  assert_finite(jax.grad(lambda u: total(softplus_threshold.forward(u, category)))(u))
  wide = np.asarray(u, np.float64)
  expected = np.where(np.arange(3) == 0, 0.0, -softplus(wide - wide[0]))
  np.testing.assert_allclose(softplus_threshold.forward(u, category).log_det, expected, rtol=1e-5, atol=1e-37)
  for bit in (0, 1):
    assert_finite(jax.grad(lambda u, bit=bit: total(softplus_threshold.forward_binary(u, jnp.asarray(bit))))(u[1]))


@pytest.mark.parametrize("category", range(3))
@pytest.mark.parametrize("log_u", [-80.0, -1.0, -1e-6, -1e-30])
def test_gumbel_locations_spread_over_sixty_nats(category, log_u):
  location = jnp.array([-30.0, 30.0, 0.0])
  noise = jnp.full(3, log_u)
  result = gumbel_threshold.forward(noise, jnp.asarray(category), location)
  assert_finite(result)
  assert bool(jnp.all(result.value <= result.value[category]))
  gradients = jax.grad(lambda n, l: total(gumbel_threshold.forward(n, jnp.asarray(category), l)), argnums=(0, 1))(
    noise, location
  )
  assert_finite(gradients)
  with np.errstate(over="ignore"):
    wide = np.longdouble(location)
    top = np.logaddexp.reduce(wide) - np.log(-np.longdouble(log_u))
    rest = wide - np.log(np.exp(wide - top) - np.longdouble(log_u))
  own = np.arange(3) == category
  expected = np.where(own, top, rest) - np.where(own, np.logaddexp.reduce(wide), wide) - log_u
  np.testing.assert_allclose(result.log_det, expected.astype(float), rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("bit", [0, 1])
@pytest.mark.parametrize("log_u", [-80.0, -1.0, -1e-6, -1e-30])
@pytest.mark.parametrize("place", [-60.0, 60.0])
def test_binary_gumbel_locations_spread_over_sixty_nats(bit, log_u, place):
  def binary(log_u, location):
    return gumbel_threshold.forward_binary(log_u, jnp.asarray(bit), location)

  args = jnp.asarray(log_u), jnp.asarray(place)
  assert_finite(binary(*args))
  assert_finite(jax.grad(lambda *a: total(binary(*a)), argnums=(0, 1))(*args))


def test_affine_and_sigmoid():
  x = jnp.linspace(-4.0, 4.0, 9)
  for forward, inverse in (
    tuple(
      partial(f, shift=jnp.full((1,), 2.0), log_scale=jnp.full((1,), -0.3)) for f in (affine.forward, affine.inverse)
    ),
    (sigmoid.forward, sigmoid.inverse),
  ):
    y, log_det = forward(x)
    back, back_log_det = inverse(y)
    np.testing.assert_allclose(back, x, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(back_log_det, -log_det, rtol=1e-4, atol=1e-5)
    slope = jax.vmap(jax.grad(lambda x, f=forward: f(x[None])[0][0]))(x)
    np.testing.assert_allclose(log_det, np.log(slope), rtol=1e-4, atol=1e-5)
  assert_finite(sigmoid.forward(jnp.array([-90.0, 90.0])))


def mixture(shape, num=5):
  keys = jax.random.split(jax.random.key(1), 3)
  logits, locations, log_scales = (jax.random.normal(key, (*shape, num)) for key in keys)
  return Mixture(logits, 2 * locations, 0.5 * log_scales)


def test_mixture_cdf_inverts_at_sixty_scales():
  x = jnp.concatenate([jnp.linspace(-60.0, 60.0, 25), jnp.linspace(-2.0, 2.0, 24)])
  args = mixture(x.shape), jnp.full(x.shape, 0.3), jnp.full(x.shape, -0.2)
  y, log_det = mixture_cdf.inverse(x, *args)
  back, back_log_det = jax.jit(mixture_cdf.forward)(y, *args)
  np.testing.assert_allclose(back, x, rtol=2e-5, atol=2e-5)
  np.testing.assert_allclose(back_log_det, -log_det, atol=2e-4)
  slope = jax.vmap(jax.grad(lambda x, m: mixture_cdf.inverse(x, m, *(a[0] for a in args[1:]))[0]))(x, args[0])
  np.testing.assert_allclose(log_det, np.log(slope), atol=2e-4)
  gradient = jax.grad(lambda x, *a: sum(part.sum() for part in mixture_cdf.inverse(x, *a)), argnums=(0, 1, 2, 3))
  assert_finite(gradient(x, *args))


def test_mixture_cdf_inverts_where_probabilities_leave_float32():
  """Logits of hundreds, beyond exp(88), and a component of weight exp(-150) that rules one tail alone."""
  x = jnp.array([-400.0, -120.0, -30.0, 30.0, 120.0, 400.0])
  wide = Mixture(jnp.array([0.0, -150.0, -1.0]), jnp.array([0.0, -2.0, 3.0]), jnp.array([0.0, 1.0, -1.0]))
  args = jax.tree.map(lambda part: jnp.broadcast_to(part, (6, 3)), wide), jnp.zeros(6), jnp.zeros(6)
  y, _ = mixture_cdf.inverse(x, *args)
  back, log_det = mixture_cdf.forward(y, *args)
  np.testing.assert_allclose(back, x, rtol=2e-5)
  assert_finite(log_det)


def test_right_tail_is_as_exact_as_the_left():
  """A symmetric mixture maps x and -x to opposite values, at 30 scales to seven digits."""
  symmetric = Mixture(jnp.zeros(2), jnp.array([-1.0, 1.0]), jnp.zeros(2))
  zero = jnp.asarray(0.0)
  right, left = (mixture_cdf.inverse(jnp.asarray(x), symmetric, zero, zero)[0] for x in (30.0, -30.0))
  np.testing.assert_allclose(right, -left, rtol=1e-6)
