"""Round trips, log-determinants against slogdet of the Jacobian in float64, and finite gradients at the edges."""

import inspect
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from catgen.bijections import affine, gumbel_threshold, mixture_cdf, sigmoid, softplus_threshold
from catgen.distributions.logistic_mixture import Mixture


def compiled(module):
  """Returns the functions of a module, each of which is one program per shape."""
  functions = inspect.getmembers(module, inspect.isfunction)
  return SimpleNamespace(**{name: jax.jit(function) for name, function in functions if not name.startswith("_")})


affine, gumbel_threshold, mixture_cdf, sigmoid, softplus_threshold = map(
  compiled, (affine, gumbel_threshold, mixture_cdf, sigmoid, softplus_threshold)
)

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
  result = softplus_threshold.forward(u.astype(np.float32), np.int32(category))
  np.testing.assert_allclose(result.value, reference_threshold(u, category), rtol=1e-5)
  expected = numeric_log_det(lambda x: reference_threshold(x, category), u)
  np.testing.assert_allclose(result.log_det.sum(), expected, rtol=1e-4)
  np.testing.assert_allclose(result.gap, np.subtract(result.value[category], result.value), atol=1e-6)
  back, log_det = softplus_threshold.inverse(result.value, np.int32(category))
  np.testing.assert_allclose(back, u, rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(log_det.sum(), -result.log_det.sum(), rtol=1e-4)


@pytest.mark.parametrize("category", range(4))
def test_gumbel_threshold(category):
  u = np.array([0.2, 0.9, 0.45, 0.02])
  args = np.int32(category), LOCATION.astype(np.float32)
  result = gumbel_threshold.forward(np.log(u).astype(np.float32), *args)
  np.testing.assert_allclose(result.value, reference_gumbel(u, category), rtol=1e-5, atol=1e-5)
  assert np.argmax(result.value) == category
  expected = numeric_log_det(lambda x: reference_gumbel(x, category), u, step=1e-6)
  np.testing.assert_allclose(result.log_det.sum(), expected, rtol=1e-4)
  back, log_det = gumbel_threshold.inverse(result.value, *args)
  np.testing.assert_allclose(np.exp(back), u, rtol=1e-4)
  np.testing.assert_allclose(log_det.sum(), -result.log_det.sum(), rtol=1e-4)


@pytest.mark.parametrize("bit", [0, 1])
def test_binary_forms_have_the_sign_of_the_bit_and_the_right_slope(bit):
  u = np.linspace(-6.0, 6.0, 13, dtype=np.float32)
  bits = np.full(u.shape, bit, np.int32)
  result = softplus_threshold.forward_binary(u, bits)
  assert np.all((np.asarray(result.value) > 0) == bool(bit))
  slope = jax.jit(jax.vmap(jax.grad(lambda v, b: softplus_threshold.forward_binary(v, b).value)))(u, bits)
  np.testing.assert_allclose(result.log_det, np.log(np.abs(slope)), atol=1e-5)
  np.testing.assert_allclose(softplus_threshold.inverse_binary(result.value, bits)[0], u, rtol=1e-4, atol=1e-4)
  noise = np.linspace(0.03, 0.97, 13)
  location = np.full(u.shape, 0.8, np.float32)
  log_u = np.log(noise).astype(np.float32)
  result = gumbel_threshold.forward_binary(log_u, bits, location)
  assert np.all((np.asarray(result.value) > 0) == bool(bit))
  slopes = jax.jit(jax.vmap(jax.grad(lambda v, b, m: gumbel_threshold.forward_binary(jnp.log(v), b, m).value)))
  slope = slopes(noise.astype(np.float32), bits, location)
  np.testing.assert_allclose(result.log_det, np.log(np.abs(slope)), atol=2e-4)
  back, log_det = gumbel_threshold.inverse_binary(result.value, bits, location)
  np.testing.assert_allclose(np.exp(back), noise, rtol=1e-4)
  np.testing.assert_allclose(log_det, -result.log_det, atol=1e-4)


def test_binary_gumbel_is_the_difference_of_two_gumbels():
  """Of uniform noise: P(bit) times the density of z given the bit is the logistic density of the difference."""
  z = np.linspace(-20.0, 20.0, 81, dtype=np.float32)
  bits = (z > 0).astype(np.int32)
  location = np.full(z.shape, 1.3, np.float32)
  _, log_density = gumbel_threshold.inverse_binary(z, bits, location)
  log_bit = np.where(bits > 0, scipy.special.log_expit(1.3), scipy.special.log_expit(-1.3))
  np.testing.assert_allclose(log_bit + log_density, scipy.stats.logistic(1.3).logpdf(np.asarray(z)), rtol=1e-5)


def test_uniform_noise_gives_independent_gumbels_given_their_argmax():
  """P(category) q(v | category) = the product of Gumbel densities, at points of every region."""
  v = (2 * np.random.default_rng(0).normal(size=(50, 4))).astype(np.float32)
  category = np.argmax(v, axis=-1).astype(np.int32)
  location = LOCATION.astype(np.float32)[None]
  _, log_density = gumbel_threshold.inverse(v, category, location)
  log_choice = scipy.special.log_softmax(LOCATION)[np.asarray(category)]
  product = scipy.stats.gumbel_r(LOCATION).logpdf(np.asarray(v, np.float64)).sum(-1)
  np.testing.assert_allclose(log_choice + np.asarray(log_density).sum(-1), product, rtol=1e-4, atol=1e-4)


def total(result):
  return result.value.sum() + result.log_det.sum()


def assert_finite(tree):
  assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(tree))


# The derivatives of all that a function returns, with respect to the noise and to the locations.
softplus_slope = jax.jit(jax.grad(lambda u, c: total(softplus_threshold.forward(u, c))))
softplus_binary_slope = jax.jit(jax.grad(lambda u, bit: total(softplus_threshold.forward_binary(u, bit))))
gumbel_slopes = jax.jit(jax.grad(lambda u, c, m: total(gumbel_threshold.forward(u, c, m)), argnums=(0, 2)))
gumbel_binary_slopes = jax.jit(
  jax.grad(lambda u, bit, m: total(gumbel_threshold.forward_binary(u, bit, m)), argnums=(0, 2))
)


@pytest.mark.parametrize("gap", [-90.0, 90.0])
def test_thresholds_are_finite_at_gaps_of_ninety(gap):
  u, category = np.array([0.0, gap, -gap], np.float32), np.int32(0)
  assert_finite(softplus_threshold.forward(u, category))
  assert_finite(softplus_slope(u, category))
  wide = np.asarray(u, np.float64)
  expected = np.where(np.arange(3) == 0, 0.0, -softplus(wide - wide[0]))
  np.testing.assert_allclose(softplus_threshold.forward(u, category).log_det, expected, rtol=1e-5, atol=1e-37)
  for bit in (0, 1):
    assert_finite(softplus_binary_slope(u[1], np.int32(bit)))


@pytest.mark.parametrize("category", range(3))
@pytest.mark.parametrize("log_u", [-80.0, -1.0, -1e-6, -1e-30])
def test_gumbel_locations_spread_over_sixty_nats(category, log_u):
  location = np.array([-30.0, 30.0, 0.0], np.float32)
  noise = np.full(3, log_u, np.float32)
  result = gumbel_threshold.forward(noise, np.int32(category), location)
  assert_finite(result)
  assert np.all(np.asarray(result.value) <= np.asarray(result.value)[category])
  assert_finite(gumbel_slopes(noise, np.int32(category), location))
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
  args = np.float32(log_u), np.int32(bit), np.float32(place)
  assert_finite(gumbel_threshold.forward_binary(*args))
  assert_finite(gumbel_binary_slopes(*args))


def test_affine_and_sigmoid():
  x = np.linspace(-4.0, 4.0, 9, dtype=np.float32)
  given = {"shift": np.full((1,), 2.0, np.float32), "log_scale": np.full((1,), -0.3, np.float32)}
  for forward, inverse in (
    (partial(affine.forward, **given), partial(affine.inverse, **given)),
    (sigmoid.forward, sigmoid.inverse),
  ):
    y, log_det = forward(x)
    back, back_log_det = inverse(y)
    np.testing.assert_allclose(back, x, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(back_log_det, -log_det, rtol=1e-4, atol=1e-5)
    slope = jax.jit(jax.vmap(jax.grad(lambda x, f=forward: f(x[None])[0][0])))(x)
    np.testing.assert_allclose(log_det, np.log(slope), rtol=1e-4, atol=1e-5)
  assert_finite(sigmoid.forward(np.array([-90.0, 90.0], np.float32)))


def mixture(shape, num=5):
  logits, locations, log_scales = np.random.default_rng(1).normal(size=(3, *shape, num)).astype(np.float32)
  return Mixture(logits, np.float32(2.0) * locations, np.float32(0.5) * log_scales)


def test_mixture_cdf_inverts_at_sixty_scales():
  x = np.concatenate([np.linspace(-60.0, 60.0, 25), np.linspace(-2.0, 2.0, 24)]).astype(np.float32)
  args = mixture(x.shape), *(np.full(x.shape, each, np.float32) for each in (0.3, -0.2))
  y, log_det = mixture_cdf.inverse(x, *args)
  back, back_log_det = mixture_cdf.forward(y, *args)
  np.testing.assert_allclose(back, x, rtol=2e-5, atol=2e-5)
  np.testing.assert_allclose(back_log_det, -log_det, atol=2e-4)
  slope = jax.jit(jax.vmap(jax.grad(lambda *given: mixture_cdf.inverse(*given)[0])))(x, *args)
  np.testing.assert_allclose(log_det, np.log(slope), atol=2e-4)
  gradient = jax.grad(lambda x, *a: sum(part.sum() for part in mixture_cdf.inverse(x, *a)), argnums=(0, 1, 2, 3))
  assert_finite(jax.jit(gradient)(x, *args))


def test_mixture_cdf_inverts_where_probabilities_leave_float32():
  """Logits of hundreds, beyond exp(88), and a component of weight exp(-150) that rules one tail alone."""
  x = np.array([-400.0, -120.0, -30.0, 30.0, 120.0, 400.0], np.float32)
  parts = np.array([[0.0, -150.0, -1.0], [0.0, -2.0, 3.0], [0.0, 1.0, -1.0]], np.float32)
  args = Mixture(*(np.broadcast_to(part, (6, 3)) for part in parts)), *np.zeros((2, 6), np.float32)
  y, _ = mixture_cdf.inverse(x, *args)
  back, log_det = mixture_cdf.forward(y, *args)
  np.testing.assert_allclose(back, x, rtol=2e-5)
  assert_finite(log_det)


def test_right_tail_is_as_exact_as_the_left():
  """A symmetric mixture maps x and -x to opposite values, at 30 scales to seven digits."""
  symmetric = Mixture(*np.array([[0.0, 0.0], [-1.0, 1.0], [0.0, 0.0]], np.float32))
  zero = np.float32(0.0)
  right, left = (mixture_cdf.inverse(np.float32(x), symmetric, zero, zero)[0] for x in (30.0, -30.0))
  np.testing.assert_allclose(right, -left, rtol=1e-6)
