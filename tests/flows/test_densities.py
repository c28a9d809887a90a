"""Densities of chains written here: mass one, changes of variables by hand, samples, levels that leave."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from catgen.flows.densities.density import Density
from catgen.flows.densities.learned_normal import LearnedNormal
from catgen.flows.densities.multi_scale import MultiScaleDensity
from catgen.flows.layers.actnorm import ActNorm
from catgen.flows.layers.chain import Chain
from catgen.flows.layers.coupling import Coupling
from catgen.flows.layers.rearrangement import reversal, squeeze
from catgen.flows.layers.transforms import MixtureTransform
from catgen.networks.conditions import Conditions

LOCATION, LOG_SCALE = np.array([0.3, -1.0]), np.array([0.2, -0.4])
RNG = np.random.default_rng(0)


def base(channels=2):
  found = LearnedNormal(channels)
  found.location.set_value(jnp.asarray(np.resize(LOCATION, channels), jnp.float32))
  found.log_scale.set_value(jnp.asarray(np.resize(LOG_SCALE, channels), jnp.float32))
  return found


def law(channels=2):
  return scipy.stats.norm(np.resize(LOCATION, channels), np.exp(np.resize(LOG_SCALE, channels)))


def scaled(channels, shift=0.5, log_scale=0.3):
  layer = ActNorm(channels)
  layer.shift.set_value(jnp.asarray(np.full(channels, shift, np.float32)))
  layer.log_scale.set_value(jnp.asarray(np.full(channels, log_scale, np.float32)))
  return layer


def bent(kept, *told, **keywords):
  """Features of the second channel from the first: a mixture of two that moves with it."""
  one = jnp.ones_like(kept)
  return jnp.concatenate([0.5 * kept, 0.3 * one, kept, -one, one + kept, -one, 0.5 * one, -0.5 * one], axis=-1)


def density(layers, channels=2, shape=(1,)):
  found = Density(Chain(layers), channels, shape)
  found.base = base(channels)
  return found


def log_prob(flow, v, valid=None):
  """Returns log p(v) by one program."""
  conditions = Conditions(valid=None if valid is None else jnp.asarray(valid))
  return jax.jit(lambda v: flow.log_prob(v, conditions))(jnp.asarray(v, jnp.float32))


CHAINS = {
  "mixture coupling": lambda: [scaled(2), Coupling(1, bent, MixtureTransform(1, 2))],
}


@functools.cache
def made(name):
  return density(CHAINS[name]())


@pytest.mark.parametrize("name", CHAINS)
def test_a_density_integrates_to_one_and_its_samples_have_its_mean(name):
  step, ends = 0.1, 14.0
  axis = np.arange(-ends, ends, step)
  grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 1, 2).astype(np.float32)
  log_p = np.asarray(jax.jit(made(name).log_prob)(jnp.asarray(grid)), np.float64)
  mass = np.exp(log_p) * step**2
  np.testing.assert_allclose(mass.sum(), 1.0, atol=5e-3)
  mean = mass @ grid[:, 0]
  drawn = np.asarray(jax.jit(made(name).sample)(jax.random.split(jax.random.key(0), 4000)))[:, 0]
  assert np.all(np.abs(drawn.mean(axis=0) - mean) < 4.5 * drawn.std(axis=0) / np.sqrt(4000) + 5e-3)


def test_without_layers_it_is_the_base_summed_over_valid_positions():
  v, valid = RNG.normal(size=(3, 4, 2)), RNG.random((3, 4)) < 0.6
  found = log_prob(density([], shape=(4,)), v, valid)
  np.testing.assert_allclose(found, (law().logpdf(v).sum(axis=-1) * valid).sum(axis=1), rtol=1e-5)


def test_a_scale_costs_its_logarithm_at_every_valid_position_and_channel():
  v, valid = RNG.normal(size=(3, 4, 2)), np.arange(4)[None] < np.array([4, 1, 0])[:, None]
  found = log_prob(density([scaled(2)], shape=(4,)), v, valid)
  each = law().logpdf((v - 0.5) / np.exp(0.3)).sum(axis=-1) - 2 * 0.3
  np.testing.assert_allclose(found, (each * valid).sum(axis=1), rtol=1e-5, atol=1e-5)


def test_padding_is_where_the_base_sees_it():
  """After a reversal the valid positions are the last ones: the base must count these."""
  v, valid = RNG.normal(size=(2, 4, 2)), np.arange(4)[None] < np.array([3, 1])[:, None]
  found, same = (log_prob(density(layers, shape=(4,)), v, valid) for layers in ([reversal()], []))
  np.testing.assert_allclose(found, same, rtol=1e-6)


def test_samples_have_a_key_each_and_the_law_of_their_channel():
  keys = jax.random.split(jax.random.key(1), 1500)
  flow = density([], shape=(3,))
  drawn = jax.jit(flow.sample)(keys)
  assert drawn.shape == (1500, 3, 2)
  for channel in range(2):
    exact = scipy.stats.norm(LOCATION[channel], np.exp(LOG_SCALE[channel]))
    assert scipy.stats.kstest(np.asarray(drawn)[..., channel].ravel(), exact.cdf).pvalue > 1e-4
  assert abs(np.corrcoef(np.asarray(drawn)[:, 0, 0], np.asarray(drawn)[:, 1, 0])[0, 1]) < 4 / np.sqrt(1500)


def test_the_base_learns_from_standard_scores():
  """d log p / d location = z / scale and d log p / d log_scale = z^2 - 1, summed over examples and positions."""
  v = RNG.normal(size=(3, 4, 2))

  def log_p(location, log_scale):
    flow = LearnedNormal(2)
    flow.location.set_value(location)
    flow.log_scale.set_value(log_scale)
    return flow.log_prob(jnp.asarray(v, jnp.float32), None).sum()

  arguments = jnp.asarray(LOCATION, jnp.float32), jnp.asarray(LOG_SCALE, jnp.float32)
  slopes = jax.jit(jax.grad(lambda pair: log_p(*pair)))(arguments)
  z = (v - LOCATION) / np.exp(LOG_SCALE)
  np.testing.assert_allclose(slopes[0], (z / np.exp(LOG_SCALE)).sum(axis=(0, 1)), rtol=1e-4)
  np.testing.assert_allclose(slopes[1], (z**2 - 1).sum(axis=(0, 1)), rtol=1e-4, atol=1e-4)


def levels(first=(), second=()):
  """Two levels on maps of 2 x 4 with two channels: squeezed once, four channels leave, then the other four."""
  chains = [Chain([*first, squeeze((2, 4))]), Chain(list(second))]
  flow = MultiScaleDensity(chains, (4, 4), ((1, 2), (1, 2)))
  flow.bases[0], flow.bases[1] = base(4), base(4)
  return flow


MAPS = RNG.normal(size=(3, 2, 4, 2)).astype(np.float32)


def blocks(v):
  """The four pixels of each block, row by row, [batch, 1, 2, 8]."""
  return np.stack([v[:, :, 2 * i : 2 * i + 2].reshape(len(v), 8) for i in range(2)], axis=1)[:, None]


def test_the_last_channels_of_a_level_leave_and_the_first_go_on():
  (leaving, last), log_det = jax.jit(levels().inverse)(jnp.asarray(MAPS))
  np.testing.assert_array_equal(leaving, blocks(MAPS)[..., 4:])
  np.testing.assert_array_equal(last, blocks(MAPS)[..., :4])
  np.testing.assert_array_equal(log_det, 0.0)
  np.testing.assert_array_equal(jax.jit(levels().forward)([leaving, last])[0], MAPS)


def test_log_prob_is_the_sum_of_all_bases_and_volumes():
  flow = levels(first=[scaled(8)], second=[scaled(4, 0.1, -0.2)])
  found = log_prob(flow, MAPS)
  z = (blocks(MAPS).astype(np.float64) - 0.5) / np.exp(0.3)
  gone, rest = z[..., 4:], (z[..., :4] - 0.1) / np.exp(-0.2)
  expected = law(4).logpdf(gone).sum(axis=(1, 2, 3)) + law(4).logpdf(rest).sum(axis=(1, 2, 3)) - 16 * 0.3 + 8 * 0.2
  np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_block_with_an_invalid_pixel_counts_nothing():
  valid = np.ones((3, 2, 4), bool)
  valid[1, 0, 3], valid[2] = False, False
  found = log_prob(levels(), MAPS, valid)
  each = law(8).logpdf(blocks(MAPS).astype(np.float64)).sum(axis=(1, 3))
  np.testing.assert_allclose(found, [each[0].sum(), each[1, 0], 0.0], rtol=1e-4)


def test_levels_are_drawn_from_keys_of_their_own():
  keys = jax.random.split(jax.random.key(2), 600)
  drawn = blocks(np.asarray(jax.jit(levels().sample)(keys)))
  standard = (drawn - law(8).mean()) / law(8).std()
  assert scipy.stats.kstest(standard.ravel(), scipy.stats.norm.cdf).pvalue > 1e-4
  together = np.corrcoef(standard[:, 0].reshape(600, -1).T) - np.eye(16)
  assert np.abs(together).max() < 4.5 / np.sqrt(600)
