"""Flows whose density is independent normals, so that P(x) is an integral in one dimension, in float64."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import nnx

from catgen.distributions import normal
from catgen.evaluation import event_probabilities
from catgen.flows.densities.density import Density
from catgen.flows.layers.chain import Chain
from catgen.interfaces import EventSpec, InputError, SampleOptions
from catgen.keys import example_keys
from catgen.models.flow.dequantized import dequantized_flow
from catgen.models.flow.latent import latent_flow
from catgen.models.flow.posterior import Draw, FixedNoise
from catgen.models.flow.surjection import EventSurjection
from catgen.surjections import argmax, rounding
from tests.models.stubs import keys_of, keys_up_to, whole

K, DRAWS = 3, 4000
SURJECTIONS = {**argmax.SURJECTIONS, **rounding.SURJECTIONS}
LOCATION, LOG_SCALE = np.array([0.4, -0.3, 0.1]), np.array([0.1, -0.2, 0.3])


class WideNoise(nnx.Module):
  """Normal noise of scale 1.5, whatever x is."""

  def __init__(self, event, num_channels, *, rngs):
    self.num_channels, self.log_scale = num_channels, float(np.log(1.5))

  def __call__(self, x, *told, keys, **keywords):
    zeros = jnp.zeros((*x.shape[1:], self.num_channels))
    u = jax.vmap(lambda key: normal.sample(key, zeros, zeros + self.log_scale))(keys)
    return Draw(u, self._log_prob(u), jnp.zeros(len(x)))

  def log_prob(self, u, x, *told, **keywords):
    return self._log_prob(u).sum(axis=tuple(range(1, u.ndim)))

  def _log_prob(self, u):
    return normal.log_prob(jnp.zeros(u.shape), jnp.full(u.shape, self.log_scale), u)


def log_uniform(key, shape):
  return jnp.log(jax.random.uniform(key, shape, minval=1e-7))


NOISES = {
  "gumbel": functools.partial(FixedNoise, draw=log_uniform),
  "uniform": functools.partial(FixedNoise, draw=jax.random.uniform),
}


def independent(num_channels, event_shape, given=(), *, rngs):
  return Density(Chain([]), num_channels, event_shape)


@functools.cache
def flow(name, base=0, shape=(1,)):
  """Returns the model, its parameters, and the location and scale of p(v) at a position."""
  event = EventSpec(shape, K)
  make = functools.partial(
    EventSurjection,
    event,
    SURJECTIONS[name],
    base=base or K,
    noise=NOISES.get(name, WideNoise),
    has_location=name.startswith("gumbel"),
  )
  model = latent_flow(event, make, independent, has_unused_codes=base == 2 or name in rounding.SURJECTIONS)
  params, _ = jax.jit(model.init)(whole(np.zeros((4, *shape))), jax.random.key(0))
  channels = len(params["density"]["base"]["location"])
  params["density"]["base"] = {
    "location": LOCATION[:channels].astype(np.float32),
    "log_scale": LOG_SCALE[:channels].astype(np.float32),
  }
  return model, params, scipy.stats.norm(LOCATION[:channels], np.exp(LOG_SCALE[:channels]))


def probabilities(name, base):
  """Returns P(x) of every category by the definition of the surjection."""
  law = flow(name, base)[2]
  if name in rounding.SURJECTIONS:
    num_digits = 2 if base == 2 else 1
    location, scale = (part.reshape(num_digits, -1) for part in law.args)
    parts = scipy.stats.norm(location, scale)
    low, high = parts.cdf(1) - parts.cdf(0), parts.cdf(2) - parts.cdf(1)
    ones = np.eye(location.shape[1], dtype=bool)
    each = np.array([[np.where(one, high[d], low[d]).prod() for one in ones] for d in range(num_digits)])
    codes = each[0] if num_digits == 1 else np.outer(*each).ravel()
    return codes[:K]
  if base == 2:
    positive = law.sf(0.0)
    return np.array([np.where(bits, positive, 1 - positive).prod() for bits in itertools.product((0, 1), repeat=2)])[:K]
  grid = np.linspace(-12, 12, 20001)
  pdf, cdf = law.pdf(grid[:, None]), law.cdf(grid[:, None])
  others = [[i for i in range(K) if i != k] for k in range(K)]
  return np.array([np.trapezoid(pdf[:, k] * cdf[:, others[k]].prod(axis=1), grid) for k in range(K)])


CASES = [
  ("softplus", 2),
  pytest.param("gumbel", 0, marks=pytest.mark.slow),  # tests/models/test_latent.py has their draws of both sides
  ("gumbel_thresholding", 2),
  pytest.param("gumbel_thresholding", 0, marks=pytest.mark.slow),  # as of Gumbels, its draws as of bits
  ("variational", 0),
  pytest.param("uniform", 0, marks=pytest.mark.slow),  # boxes as of variational noise
]


@pytest.mark.parametrize(("name", "base"), CASES)
def test_draws_of_both_sides_give_the_integral(name, base):
  model, params, _ = flow(name, base)
  exact = probabilities(name, base)
  batch = whole(np.repeat(np.arange(K), DRAWS)[:, None])
  keys = keys_of(batch, seed=1)
  weights = jax.jit(lambda p, b, k: model.log_weight(p, b, k, state={}))(params, batch, keys)
  weights = np.asarray(weights, np.float64).reshape(K, DRAWS).T
  latents = event_probabilities.draw_latents(model, params, {}, jax.random.key(2), 2 * DRAWS)
  found = event_probabilities.of_both_sides(weights, *latents)
  assert np.all(np.abs(found.p - exact) < 4.5 * found.error)
  assert np.all(found.error < 0.1 * exact)
  counts = np.bincount(latents[1] + 1, minlength=K + 1)
  expected = np.append(1 - exact.sum(), exact) * 2 * DRAWS
  kept = expected > 1e-6 * DRAWS
  assert counts[~kept].sum() == 0
  assert scipy.stats.chisquare(counts[kept], expected[kept]).pvalue > 1e-4
  assert model.latent.has_unused_codes == bool(kept[0])


@pytest.mark.parametrize(("name", "base"), [("gumbel", 0), ("gumbel", 2)])
def test_locations_begin_at_the_logarithms_of_counts_each_one_higher(name, base):
  x = np.array([[0, 1, 2, 2], [2, 2, 0, 1]])
  valid = np.array([[True, True, True, True], [True, True, False, False]])
  model, _, _ = flow(name, base)
  found, _ = jax.jit(model.init)(whole(x)._replace(valid=valid), jax.random.key(0))
  found = np.asarray(found["surjection"]["location"])
  seen = x[valid]
  if base == 2:
    bits = np.stack([seen // 2, seen % 2])
    ones = bits.sum(axis=1)
    expected = (np.log(1 + ones) - np.log(1 + len(seen) - ones))[:, None]  # of the difference of two Gumbels
  else:
    counts = 1 + np.bincount(seen, minlength=K)
    expected = np.log(counts / counts.sum())[None]
  np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
  ("options", "named"),
  [
    ({"num_steps": 2}, "num_steps"),
    ({"num_frames": 2}, r"a chain \(num_frames\)"),
    ({"temperature": 0.5}, "temperature"),
    ({"top_k": 1}, "top_k"),
    ({"top_p": 0.5}, "top_p"),
    ({"forbid": (0,)}, "forbid"),
  ],
)
def test_a_flow_is_sampled_in_one_pass(options, named):
  model, params, _ = flow("softplus", 2)
  with pytest.raises(InputError, match=f"in one pass.*: {named} does not apply; leave it out"):
    model.sample(params, keys_up_to(2), state={}, options=SampleOptions(**options))


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"noise": "gaussian"}, "choose uniform or variational"),
    ({"noise": "variational"}, "needs an encoder"),
    ({"posterior_flow": lambda *told, **keywords: None}, "no posterior flow"),
  ],
)
def test_noise_that_cannot_be_is_refused(options, message):
  with pytest.raises(InputError, match=message):
    dequantized_flow(EventSpec((2,), K), density=independent, **options)


def test_a_dequantized_flow_scores_the_corner_plus_its_noise():
  model = dequantized_flow(EventSpec((2,), K), density=independent)
  batch = whole([[0, 2], [1, 1]])

  @jax.jit
  def both(batch, key):
    params, _ = model.init(batch, key)
    keys = example_keys(key, batch.index)
    return model.latent.infer(params, batch, keys, state={}), model.bound(params, batch, keys, state={}, train=False)

  (v, log_q), bound = both(batch, jax.random.key(5))
  noise = np.asarray(v) - np.eye(K)[np.asarray(batch.x)]
  assert np.all((noise >= 0) & (noise < 1))
  np.testing.assert_array_equal(log_q, 0.0)
  np.testing.assert_allclose(bound.nats, scipy.stats.norm.logpdf(np.asarray(v, np.float64)).sum(axis=(1, 2)), rtol=1e-5)
