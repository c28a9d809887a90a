"""Bijections where float32 runs out of digits, and what they are indifferent to."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.bijections import affine, gumbel_threshold, mixture_cdf, sigmoid, softplus_threshold
from catgen.distributions.logistic_mixture import Mixture

RNG = np.random.default_rng(0)
LOCATION = jnp.asarray([[0.4, -0.7, 1.5, 0.0]])


@functools.cache
def threshold(name):
  if name == "softplus":
    return jax.jit(softplus_threshold.forward)
  return jax.jit(lambda u, category: gumbel_threshold.forward(u, category, LOCATION))


def noise(name, number=40):
  u = RNG.normal(size=(number, 4)) * 2
  return (u if name == "softplus" else -np.exp(-u)).astype(np.float32)


def categories(number=40):
  return jnp.asarray(np.arange(number) % 4)


@pytest.mark.parametrize("name", ["softplus", "gumbel"])
def test_the_largest_is_the_category_by_its_gap_where_values_tie(name):
  """T - softplus(T - u) rounds to T where u is far above: the value ties, the gap and the volume do not."""
  far = np.array([[3.0, 43.0, 28.0, 63.0]], np.float32)
  u = far if name == "softplus" else -np.exp(-far)
  found = threshold(name)(u, jnp.zeros(1, int))
  assert np.all(np.asarray(found.value)[0, 1:] == np.asarray(found.value)[0, 0])
  assert np.all(np.asarray(found.gap)[0, 1:] > 0)
  assert np.all(np.isfinite(found.log_det))
  if name == "softplus":  # log sigmoid(T - u) = T - u, to the last digit
    np.testing.assert_allclose(found.log_det[0, 1:], [-40.0, -25.0, -60.0], rtol=1e-6)
    np.testing.assert_allclose(np.log(found.gap[0, 1:]), [-40.0, -25.0, -60.0], rtol=1e-5)


@pytest.mark.parametrize("name", ["softplus", "gumbel"])
def test_each_coordinate_rises_with_its_noise(name):
  u, category = noise(name), categories()
  plain = threshold(name)(u, category)
  for channel in range(4):
    more = u.copy()
    more[:, channel] += 0.1 * np.abs(more[:, channel]) if name == "softplus" else -0.1 * more[:, channel]
    up = np.asarray(threshold(name)(more, category).value) - np.asarray(plain.value)
    assert np.all(up[:, channel] >= 0)
    own = np.asarray(category) == channel
    assert np.all(up[own] >= -1e-6)  # a higher largest coordinate lets the others rise
    still = np.delete(up[~own], channel, axis=1)
    np.testing.assert_array_equal(still, 0.0)


@pytest.mark.parametrize("name", ["softplus", "gumbel"])
def test_the_gap_is_the_distance_to_the_largest_and_zero_for_the_category(name):
  u, category = noise(name), categories()
  found = threshold(name)(u, category)
  value = np.asarray(found.value, np.float64)
  own = np.arange(4)[None] == np.asarray(category)[:, None]
  np.testing.assert_array_equal(np.asarray(found.gap)[own], 0.0)
  np.testing.assert_allclose(found.gap, value[own][:, None] - value, atol=2e-6)
  assert np.all(np.asarray(found.gap)[~own] > 0)


def test_a_largest_coordinate_moved_with_all_noise_moves_all_values():
  """Softplus thresholding knows no origin: u + c gives v + c, with the same volume."""
  u, category = noise("softplus"), categories()
  plain, moved = threshold("softplus")(u, category), threshold("softplus")(u + np.float32(3.0), category)
  np.testing.assert_allclose(moved.value, np.asarray(plain.value) + 3.0, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(moved.log_det, plain.log_det, rtol=1e-4, atol=1e-5)


def test_gumbel_locations_moved_together_move_the_values():
  log_u, category = noise("gumbel"), categories()
  forward = jax.jit(gumbel_threshold.forward)
  plain, moved = forward(log_u, category, LOCATION), forward(log_u, category, LOCATION + 2.5)
  np.testing.assert_allclose(moved.value, np.asarray(plain.value) + 2.5, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(moved.log_det, plain.log_det, rtol=1e-3, atol=1e-4)


def test_the_largest_gumbel_has_the_location_of_all():
  """Its noise alone decides it: -log(-log u) above logsumexp of the locations."""
  log_u, category = noise("gumbel"), categories()
  top = np.asarray(threshold("gumbel")(log_u, category).value)[np.arange(40), np.asarray(category)]
  own = log_u[np.arange(40), np.asarray(category)].astype(np.float64)
  expected = np.logaddexp.reduce(np.asarray(LOCATION, np.float64)[0]) - np.log(-own)
  np.testing.assert_allclose(top, expected, rtol=1e-5, atol=1e-6)


def test_bits_turned_around_turn_the_sign():
  u, place = RNG.normal(size=20).astype(np.float32), np.full(20, 0.7, np.float32)
  log_u, one = -np.exp(-u), np.arange(20) % 2
  other = 1 - one
  softplus, gumbel = (jax.jit(each.forward_binary) for each in (softplus_threshold, gumbel_threshold))
  pairs = [
    [softplus(u, each) for each in (one, other)],
    [gumbel(log_u, *each) for each in ((one, place), (other, -place))],
  ]
  for plain, turned in pairs:
    np.testing.assert_array_equal(turned.value, -np.asarray(plain.value))
    np.testing.assert_array_equal(turned.log_det, plain.log_det)
    np.testing.assert_array_equal(plain.gap, np.abs(plain.value))


def test_affine_maps_follow_one_another():
  x, (a, b) = (
    jnp.asarray(RNG.normal(size=5), jnp.float32),
    [(jnp.full(1, shift), jnp.full(1, log_scale)) for shift, log_scale in ((0.5, 0.3), (-1.0, -0.8))],
  )
  middle, first = affine.forward(x, *a)
  found, second = affine.forward(middle, *b)
  np.testing.assert_allclose(found, -1.0 + np.exp(-0.8) * (0.5 + np.exp(0.3) * np.asarray(x)), rtol=1e-5)
  np.testing.assert_allclose(first + second, -0.5, rtol=1e-5)


def test_a_sigmoid_keeps_its_slope_where_its_value_is_one():
  x = np.array([-80.0, -20.0, 0.0, 20.0, 80.0], np.float32)
  y, log_det = sigmoid.forward(jnp.asarray(x))
  np.testing.assert_allclose(log_det, -np.abs(x) - 2 * np.log1p(np.exp(-np.abs(x.astype(float)))), rtol=1e-6)
  assert y[3] == 1.0
  np.testing.assert_allclose(sigmoid.forward(jnp.asarray(-x))[0], 1 - np.asarray(y), atol=1e-7)


def mixture(number):
  logits, locations, log_scales = (RNG.normal(size=(number, 3)).astype(np.float32) for _ in range(3))
  return Mixture(jnp.asarray(logits), jnp.asarray(locations), jnp.asarray(0.3 * log_scales))


def test_mixtures_know_no_order_of_components_and_no_size_of_weights():
  y, parts, zeros = jnp.asarray(2 * RNG.normal(size=30), jnp.float32), mixture(30), jnp.zeros(30)
  inverse = jax.jit(mixture_cdf.inverse)
  plain = inverse(y, parts, zeros, zeros)
  turned = inverse(y, Mixture(*(part[:, ::-1] for part in parts)), zeros, zeros)
  heavier = inverse(y, parts._replace(logits=parts.logits + 4.0), zeros, zeros)
  for other in (turned, heavier):
    np.testing.assert_allclose(other[0], plain[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(other[1], plain[1], rtol=1e-3, atol=1e-4)


def test_shift_and_scale_act_on_the_logit():
  y, parts = jnp.asarray(RNG.normal(size=30), jnp.float32), mixture(30)
  inverse = jax.jit(mixture_cdf.inverse)
  plain = inverse(y, parts, jnp.zeros(30), jnp.zeros(30))
  found = inverse(y, parts, jnp.full(30, 0.6), jnp.full(30, -0.4))
  np.testing.assert_allclose(found[0], np.exp(-0.4) * (np.asarray(plain[0]) + 0.6), rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(found[1], np.asarray(plain[1]) - 0.4, rtol=1e-4, atol=1e-5)
