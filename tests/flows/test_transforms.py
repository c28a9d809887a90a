"""Transforms of channels against their formulas in float64: affine, mixtures of logistics, one after another."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from flax import nnx

from catgen.flows.layers.channelwise import Channelwise
from catgen.flows.layers.transforms import AffineTransform, MixtureArguments, MixtureTransform

CHANNELS, MIXTURES, FEATURES = 3, 2, 4
RNG = np.random.default_rng(0)


def channelwise():
  sizes = {"num_mixtures": MIXTURES, "hidden_width": 4, "channel_features": 2}
  return Channelwise(CHANNELS, FEATURES, **sizes, rngs=nnx.Rngs(0))


TRANSFORMS = {
  "affine": lambda: AffineTransform(CHANNELS),
  "mixture": lambda: MixtureTransform(CHANNELS, MIXTURES),
  "channelwise": channelwise,
}
made = functools.cache(lambda name: TRANSFORMS[name]())


@functools.cache
def compiled(name, direction):
  return jax.jit(getattr(made(name), direction))


def normal(*shape, scale=1.0):
  return np.asarray(scale * RNG.normal(size=shape), np.float32)


def calls(name, direction, values, features):
  return [
    np.asarray(part, np.float64) for part in compiled(name, direction)(jnp.asarray(values), jnp.asarray(features))
  ]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_rows_do_not_mix(name):
  values, features = normal(6, CHANNELS), normal(6, made(name).num_features)
  z, log_det = calls(name, "inverse", values, features)
  moved = [4, 0, 2, 5, 1, 3]
  again, again_log_det = calls(name, "inverse", values[moved], features[moved])
  np.testing.assert_allclose(again, z[moved], rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(again_log_det, log_det[moved], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_each_channel_rises_and_reads_earlier_channels_only_where_it_may(name):
  values, features = np.repeat(normal(1, CHANNELS), 6, axis=0), np.repeat(normal(1, made(name).num_features), 6, axis=0)
  values[np.arange(1, 4), np.arange(3)] += 0.5  # row 1 moves channel 0, row 2 channel 1, row 3 channel 2
  z, _ = calls(name, "inverse", values, features)
  change = z[1:4] - z[:1]
  assert np.all(np.diag(change) > 1e-3)
  np.testing.assert_allclose(np.tril(change, -1), 0.0, atol=1e-6)
  later = change[np.triu_indices(3, 1)]
  assert np.all(later != 0) if name == "channelwise" else np.all(np.abs(later) < 1e-6)


def test_an_affine_transform_is_shift_and_a_scale_between_e_to_minus_two_and_two():
  values, features = normal(6, CHANNELS), normal(6, 2 * CHANNELS, scale=20.0)
  shift, a = np.moveaxis(features.astype(np.float64).reshape(6, CHANNELS, 2), -1, 0)
  log_scale = 2 * np.tanh(a / 2)
  v, log_det = calls("affine", "forward", values, features)
  np.testing.assert_allclose(v, shift + np.exp(log_scale) * values, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(log_det, log_scale.sum(axis=1), rtol=1e-5, atol=1e-5)
  assert np.abs(log_scale).max() > 1.99
  still, _ = calls("affine", "forward", values, 0 * features)
  np.testing.assert_allclose(still, values, rtol=1e-6)


def mixture_reference(v, features):
  """logit of the mixture's CDF, shifted and scaled, with scales bounded by tanh, as `MixtureArguments` has them."""
  each = features.astype(np.float64).reshape(*v.shape, 2 + 3 * MIXTURES)
  shift, log_scale, rest = each[..., 0], np.tanh(each[..., 1]), each[..., 2:]
  logits, locations, log_scales = np.split(rest, 3, axis=-1)
  weights, scales = scipy.special.softmax(logits, axis=-1), np.exp(np.tanh(log_scales))
  standard = (v[..., None] - locations) / scales
  below = (weights * scipy.special.expit(standard)).sum(axis=-1)
  pdf = (weights * scipy.special.expit(standard) * scipy.special.expit(-standard) / scales).sum(axis=-1)
  z = np.exp(log_scale) * (scipy.special.logit(below) + shift)
  return z, (log_scale + np.log(pdf) - np.log(below) - np.log1p(-below)).sum(axis=-1)


def test_a_mixture_transform_is_the_logit_of_a_cdf():
  values, features = normal(6, CHANNELS, scale=2.0), normal(6, CHANNELS * 8, scale=1.5)
  z, log_det = mixture_reference(values.astype(np.float64), features)
  found, found_log_det = calls("mixture", "inverse", values, features)
  np.testing.assert_allclose(found, z, rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(found_log_det, log_det, rtol=1e-4, atol=1e-4)


def test_a_mixture_of_standard_logistics_is_the_identity():
  values = normal(6, CHANNELS, scale=3.0)
  z, log_det = calls("mixture", "inverse", values, np.zeros((6, CHANNELS * 8), np.float32))
  np.testing.assert_allclose(z, values, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(log_det, 0.0, atol=1e-4)


def test_log_scales_stay_within_their_learned_bounds():
  bound = 2.0
  arguments = MixtureArguments(CHANNELS, MIXTURES)
  arguments.scale_bound.set_value(jnp.asarray(np.full(CHANNELS, bound, np.float32)))
  arguments.mixture_scale_bound.set_value(jnp.asarray(np.full((CHANNELS, MIXTURES), bound, np.float32)))
  outputs = normal(4, CHANNELS, 8, scale=50.0)
  mixture, shift, log_scale = jax.jit(arguments)(outputs)
  limit = np.exp(bound)
  for found, raw in ((log_scale, outputs[..., 1]), (mixture.log_scales, outputs[..., 6:])):
    assert np.abs(found).max() <= limit * (1 + 1e-6)
    np.testing.assert_allclose(found, limit * np.tanh(raw.astype(float) / max(limit, 1.0)), rtol=1e-4, atol=1e-6)
  np.testing.assert_array_equal(shift, outputs[..., 0])
  np.testing.assert_array_equal(mixture.locations, outputs[..., 4:6])
  small, _, small_scale = jax.jit(arguments)(1e-3 * outputs[:, 1], jnp.int32(1))  # one channel alone
  assert small_scale.shape == (4,)
  np.testing.assert_allclose(small.logits, 1e-3 * outputs[:, 1, 2:4], rtol=1e-6)


def test_volumes_follow_the_features_by_finite_differences():
  """d log_det / d features of the inverse, against differences of the float64 reference."""
  values, features = normal(1, CHANNELS), normal(1, made("mixture").num_features)

  def reference(f):
    return mixture_reference(values.astype(np.float64), f)[1][0]

  slope = jax.jit(jax.grad(lambda f: made("mixture").inverse(jnp.asarray(values), f)[1].sum()))(jnp.asarray(features))
  wide, step = features.astype(np.float64), 1e-6
  expected = [
    (reference(wide + step * e) - reference(wide - step * e)) / (2 * step) for e in np.eye(features.size)[:, None]
  ]
  np.testing.assert_allclose(slope[0], expected, rtol=2e-3, atol=2e-4)
