"""Every surjection with its inverse and the noise behind it: round trips, densities, edges, names of categories."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from catgen.surjections import argmax, rounding

RNG = np.random.default_rng(0)
SURJECTIONS = {**argmax.SURJECTIONS, **rounding.SURJECTIONS}
BASES = [("softplus", 2), ("softplus", 3), ("gumbel", 2), ("gumbel_thresholding", 3), ("variational", 3)]
NUMBER = 64


def noise(name, channels):
  """Returns noise as the surjection takes it: of the whole line, of (0, 1), or the logarithm of such."""
  normal, uniform = 1.5 * RNG.normal(size=(NUMBER, channels)), RNG.uniform(0.02, 0.98, (NUMBER, channels))
  return {"gumbel": np.log(uniform), "uniform": uniform}.get(name, normal).astype(np.float32)


def location(name, channels):
  if not name.startswith("gumbel"):
    return None
  return RNG.normal(size=(1, channels)).astype(np.float32)


@functools.cache
def case(name, base):
  surjection = SURJECTIONS[name]
  channels = surjection.num_channels(base)
  category = RNG.integers(base, size=NUMBER, dtype=np.int32)
  u, log_q = noise(name, channels), RNG.normal(size=(NUMBER, channels)).astype(np.float32)
  place = location(name, channels)

  @jax.jit
  def there_and_back(u, log_q, category, place):
    inverted = surjection.inverse(u, log_q, category, place)
    return inverted, surjection.forward(inverted.value), surjection.noise_of(inverted.value, category, place)

  return category, u, log_q, *jax.tree.map(np.asarray, there_and_back(u, log_q, category, place))


@pytest.mark.parametrize(("name", "base"), BASES)
def test_an_inverse_lands_in_its_category_and_its_noise_comes_back(name, base):
  category, u, _, inverted, (meant, used), back = case(name, base)
  np.testing.assert_array_equal(meant, category)
  assert used.all()
  np.testing.assert_allclose(back.value, u, rtol=5e-3, atol=2e-3)
  channels = SURJECTIONS[name].num_channels(base)
  assert channels == (1 if base == 2 and name in argmax.SURJECTIONS else base)
  assert inverted.value.shape == (NUMBER, channels)


@pytest.mark.parametrize(("name", "base"), BASES)
def test_the_density_of_a_latent_is_that_of_its_noise_and_the_volume(name, base):
  _, _, log_q, inverted, _, back = case(name, base)
  np.testing.assert_allclose(inverted.log_q, log_q + back.log_det, rtol=1e-3, atol=5e-3)


@pytest.mark.parametrize("name", ["softplus", "gumbel"])
def test_renaming_the_categories_renames_the_coordinates(name):
  base = 5
  surjection, names = SURJECTIONS[name], np.random.default_rng(1).permutation(base)
  category, u = RNG.integers(0, base, NUMBER).astype(np.int32), noise(name, base)
  place = None if not name.startswith("gumbel") else RNG.normal(size=(1, base)).astype(np.float32)
  inverse = jax.jit(lambda u, category, place: surjection.inverse(u, jnp.zeros_like(u), category, place))
  plain = inverse(u, category, place)
  back = np.argsort(names)
  renamed = inverse(u[:, back], names[category].astype(np.int32), None if place is None else place[:, back])
  np.testing.assert_allclose(renamed.value, np.asarray(plain.value)[:, back], rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(renamed.log_q, np.asarray(plain.log_q)[:, back], rtol=1e-4, atol=1e-5)


def test_categories_drawn_from_the_softmax_of_locations_give_independent_gumbels():
  """Without the category, every coordinate is a Gumbel of its location, whatever the others are."""
  number, place = 6000, np.array([0.4, -0.7, 1.5])
  p = scipy.special.softmax(place)
  category = np.random.default_rng(3).choice(3, number, p=p).astype(np.int32)
  log_u = np.log(np.random.default_rng(4).uniform(1e-9, 1, (number, 3))).astype(np.float32)
  inverse = jax.jit(argmax.inverse_gumbel)
  v = np.asarray(inverse(log_u, np.zeros_like(log_u), category, place[None].astype(np.float32)).value, np.float64)
  standard = v - place
  for one in standard.T:
    assert scipy.stats.kstest(one, scipy.stats.gumbel_r.cdf).pvalue > 1e-4
  together = np.corrcoef(scipy.stats.gumbel_r.cdf(standard).T) - np.eye(3)
  assert np.abs(together).max() < 4.5 / np.sqrt(number)


def test_the_bit_of_a_difference_of_gumbels_is_logistic():
  number, place = 6000, 0.8
  bit = (np.random.default_rng(5).random(number) < scipy.special.expit(place)).astype(np.int32)
  log_u = np.log(np.random.default_rng(6).uniform(1e-9, 1, (number, 1))).astype(np.float32)
  z = jax.jit(argmax.inverse_gumbel)(log_u, np.zeros_like(log_u), bit, np.full((1, 1), place, np.float32)).value
  assert scipy.stats.kstest(np.asarray(z, np.float64)[:, 0], scipy.stats.logistic(place).cdf).pvalue > 1e-4


def test_logistic_logits_make_thresholding_the_inverse_gumbel():
  """sigmoid of a standard logistic is uniform: both then give one v, and log q of the logit cancels its slope."""
  log_u, place = noise("gumbel", 3), np.array([[0.3, -0.2, 0.9]], np.float32)
  category = RNG.integers(0, 3, NUMBER).astype(np.int32)
  logit = (log_u - np.log1p(-np.exp(log_u.astype(np.float64)))).astype(np.float32)
  log_q = scipy.stats.logistic.logpdf(logit).astype(np.float32)
  plain = jax.jit(argmax.inverse_gumbel)(log_u, np.zeros_like(log_u), category, place)
  found = jax.jit(argmax.inverse_gumbel_thresholding)(logit, log_q, category, place)
  np.testing.assert_allclose(found.value, plain.value, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(found.log_q, plain.log_q, rtol=1e-4, atol=1e-4)


def test_edges_belong_to_the_first_category_and_to_bit_zero():
  v = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 2.0]], np.float32)
  assert jax.jit(argmax.forward)(v)[0].tolist() == [0, 1]
  bits, used = jax.jit(argmax.forward)(np.array([[0.0], [-0.0], [1e-30], [-1e-30]], np.float32))
  assert bits.tolist() == [0, 0, 1, 0]
  assert np.all(used)
  boxes = [[1.0, 0.0], [1.0, 1.0], [0.0, 1.9999], [0.0, 0.9999], [2.0, 0.0], [1.0, -1e-6]]
  category, used = jax.jit(rounding.forward)(np.array(boxes, np.float32))
  assert category.tolist() == [0, 0, 1, 0, 0, 0]
  assert used.tolist() == [True, False, True, False, False, False]
