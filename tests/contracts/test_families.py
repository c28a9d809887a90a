"""What every family of models promises, on a space of few events whose probabilities are known exactly."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from catgen.bounds import importance_weighted
from catgen.interfaces import Batch, SampleOptions
from catgen.keys import example_keys, example_strata
from catgen.models import MODELS
from tests.compiling import OPTIMIZED
from tests.contracts.families import CONTINUOUS_STEPS, FAMILIES, SLOW, batch_of, family

NAMES = sorted(FAMILIES)
DRAWS = 2000


def params(slow):
  """Returns the families, some of which only the slow suite sees."""
  return [pytest.param(name, marks=[pytest.mark.slow] if name in slow else []) for name in NAMES]


@pytest.fixture(params=params(SLOW))
def member(request):
  return family(request.param)


def repeated(member, num: int) -> Batch:
  return batch_of(np.repeat(member.events, num, axis=0))


def log_p(member) -> np.ndarray:
  return np.log(member.probs)


def test_every_family_is_under_contract():
  assert {name.split("_")[0] for name in NAMES} == {"uniform", "absorbing", "autoregressive", "argmax", "dequantized"}
  assert set(MODELS) == {"diffusion", "autoregressive", "argmax_flow", "dequantized_flow"}


def test_probabilities_sum_to_one(member):
  quadrature = 1e-3 if member.name.endswith(("classes", "base3")) else 1e-4  # over four or six channels, over fewer
  tolerance = 2e-3 if "continuous" in member.name else quadrature if member.name.startswith("argmax") else 1e-5
  if member.invalid is None:  # known from the samples only
    assert 0.0 < member.probs.sum() < 1.0
  else:
    np.testing.assert_allclose(member.probs.sum() + member.invalid, 1.0, atol=tolerance)
  assert member.probs.std() > 0.01  # the model depends on its input


@functools.cache
def bound_function(name, train):
  member = family(name)

  def bound(params, batch, keys, strata=None):
    return member.model.bound(params, batch, keys, state=member.state, train=train, strata=strata)

  return jax.jit(bound)


def bound(member, batch, *, train=False):
  keys = example_keys(jax.random.key(2), batch.index)
  return bound_function(member.name, train)(member.params, batch, keys)


@functools.cache
def draw_bounds(name, num):
  batch = repeated(family(name), num)
  keys = example_keys(jax.random.key(5), batch.index)
  strata = example_strata(jax.random.key(6), jax.random.permutation(jax.random.key(7), batch.index), len(batch.x))
  drawn = bound_function(name, False)(family(name).params, batch, keys, strata)
  return np.asarray(drawn.nats).reshape(-1, num), drawn


def test_bound_lies_below_log_p(member):
  nats, _ = draw_bounds(member.name, DRAWS)
  error = nats.std(1) / np.sqrt(DRAWS)
  assert np.all(nats.mean(1) <= log_p(member) + 4 * error + 3e-3)
  assert np.all(nats.mean(1) >= 3 * log_p(member) - 3)  # and is not vacuous


def test_one_random_time_step_is_no_importance_weight():
  nats, _ = draw_bounds("uniform", DRAWS)
  assert np.exp(nats.astype(np.float64)).mean(1).sum() > 1.1


def test_terms_add_up_and_draws_repeat(member):
  first, again = bound(member, batch_of(member.events)), bound(member, batch_of(member.events))
  np.testing.assert_array_equal(first.nats, again.nats)
  np.testing.assert_allclose(sum(first.terms.values()), first.nats, rtol=1e-6)
  assert first.nats.dtype == jnp.float32


def test_full_bound_is_the_mean_of_bounds(member):
  if member.model.full_bound is None:
    assert not member.name.startswith(("uniform", "absorbing")) or "continuous" in member.name
    return
  batch = repeated(member, DRAWS)
  keys = example_keys(jax.random.key(8), batch.index)
  full, profile = jax.jit(lambda *args: member.model.full_bound(*args, state=member.state))(member.params, batch, keys)
  one, _ = draw_bounds(member.name, DRAWS)
  all_steps = np.asarray(full.nats).reshape(-1, DRAWS)
  error = np.sqrt((one.var(1) + all_steps.var(1)) / DRAWS)
  assert np.all(np.abs(one.mean(1) - all_steps.mean(1)) < 4 * error + 1e-3)
  by_position = profile.by_position.reshape(len(batch.x), -1)
  np.testing.assert_allclose(by_position.sum(-1), -full.nats, rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(profile.by_time.sum(-1) - full.terms["prior"], -full.nats, rtol=1e-4, atol=1e-4)


@functools.cache
def draw_weights(name, num):
  member = family(name)
  batch = repeated(family(name), num)
  keys = example_keys(jax.random.key(9), batch.index)
  weight = jax.jit(lambda *args: member.model.log_weight(*args, state=member.state))(member.params, batch, keys)
  return np.asarray(weight, np.float64).reshape(-1, num)


def test_weights_average_to_the_probability(member):
  if member.model.log_weight is None:
    assert member.name == "uniform_continuous"
    return
  weights = np.exp(draw_weights(member.name, DRAWS))
  error = weights.std(1) / np.sqrt(DRAWS)
  np.testing.assert_array_less(np.abs(weights.mean(1) - member.probs), 4.5 * error + 2e-4)


def test_importance_weighted_bound_rises_with_draws_and_stays_below(member):
  if member.model.log_weight is None:
    return
  weights = draw_weights(member.name, DRAWS)[:, :1024].T  # draws first
  means, errors = [], []
  for size in (1, 2, 4, 8, 16):
    grouped = jnp.asarray(weights.reshape(size, -1, len(member.events)))
    bounds = np.asarray(importance_weighted(grouped), np.float64)
    means.append(bounds.mean(0))
    errors.append(bounds.std(0) / np.sqrt(len(bounds)))
  assert np.all(np.diff(np.stack(means), axis=0) >= -1e-5)  # on the same draws, by Jensen's inequality
  assert np.all(means[-1] <= log_p(member) + 4 * errors[-1] + 1e-3)


def test_a_draw_of_the_bound_is_a_latents_density_over_its_posterior(member):
  latent = member.model.latent
  if latent is None:
    return
  batch = batch_of(member.events)
  keys = example_keys(jax.random.key(2), batch.index)
  v, log_q = jax.jit(lambda b, k: latent.infer(member.params, b, k, state=member.state))(batch, keys)
  ratio = jax.jit(lambda v: latent.log_prob(member.params, v, state=member.state))(v) - log_q
  np.testing.assert_allclose(ratio, bound(member, batch).nats, rtol=2e-4, atol=1e-4)
  given = jax.jit(lambda b, v: latent.log_q(member.params, b, v, state=member.state))
  at_draw = given(batch, v)  # where float32 puts a latent on the edge of its region, only the noise tells its density
  assert np.isfinite(at_draw).mean() > 0.9
  np.testing.assert_allclose(at_draw[np.isfinite(at_draw)], log_q[np.isfinite(at_draw)], rtol=1e-3, atol=5e-3)
  assert np.all(np.isneginf(given(batch._replace(x=(batch.x + 1) % member.model.event.num_classes), v)))
  drawn_invalid = member.invalid is None or member.invalid > 0
  assert latent.has_unused_codes == drawn_invalid


def test_samples_have_the_models_frequencies(member):
  num, steps = (5_000, CONTINUOUS_STEPS) if "continuous" in member.name else (10_000, None)
  keys = example_keys(jax.random.key(3), jnp.arange(num))
  options = SampleOptions(num_steps=steps)
  draw = jax.jit(
    lambda p, k: member.model.sample(p, k, state=member.state, options=options), compiler_options=OPTIMIZED
  )
  samples = draw(member.params, keys)
  x, valid = (array.reshape(num, -1) for array in (samples.x, samples.valid))
  places = member.model.event.num_classes ** np.arange(x.shape[1] - 1, -1, -1)
  codes = np.where(valid.all(-1), x @ places, len(member.events))
  counts = np.bincount(codes, minlength=len(member.events) + 1)
  invalid = 1 - member.sample_probs.sum()
  if invalid < 3e-3:  # none, up to what the exact probabilities are good to
    assert counts[-1] == 0
    probs, counts = member.sample_probs / member.sample_probs.sum(), counts[:-1]
  else:
    probs = np.append(member.sample_probs, invalid)
  assert scipy.stats.chisquare(counts, probs * num).pvalue > 1e-4


def test_exact_log_prob(member):
  if member.model.log_prob is None:
    return
  got = jax.jit(lambda p, b: member.model.log_prob(p, b, state=member.state))(member.params, batch_of(member.events))
  np.testing.assert_allclose(got, log_p(member), atol=1e-5)


def test_padding_contributes_nothing_and_does_not_leak(member):
  events = member.events
  valid = np.ones(events.shape, bool)
  valid[:, -1] = False
  valid[0] = False
  other = np.where(valid, events, (events + 1) % member.model.event.num_classes)
  batches = [Batch(jnp.asarray(x), jnp.asarray(valid), jnp.arange(len(x))) for x in (events, other)]
  nats = [np.asarray(bound(member, batch).nats) for batch in batches]
  assert nats[0][0] == 0.0
  np.testing.assert_allclose(nats[0], nats[1], rtol=1e-5, atol=1e-6)
  assert np.any(np.abs(nats[0] - np.asarray(bound(member, batch_of(member.events)).nats)) > 1e-3)


@pytest.mark.parametrize("name", params({*NAMES} - {"uniform", "autoregressive"}))
def test_jit_changes_nothing(name):
  member = family(name)
  batch = batch_of(member.events)
  keys = example_keys(jax.random.key(2), batch.index)
  eager = member.model.bound(member.params, batch, keys, state=member.state, train=False).nats
  np.testing.assert_allclose(eager, bound(member, batch).nats, rtol=2e-4, atol=1e-4)


def test_gradients_are_finite_and_reach_every_parameter(member):
  batch = repeated(member, 50)
  keys = example_keys(jax.random.key(2), batch.index)
  gradient = jax.jit(jax.grad(lambda p: bound_function(member.name, True)(p, batch, keys).nats.sum()))(member.params)
  for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
    assert bool(jnp.all(jnp.isfinite(leaf))), path
    if member.events[0].size == 1 and "conditioner" in str(path):
      continue  # it reads the other positions, and there are none
    if member.name.endswith("_unet") and re.search(r"'(query|key)(_scale)?'", str(path)):
      continue  # its coarsest map has one place, whose attention to itself is certain
    assert bool(jnp.any(leaf != 0)), f"no gradient reaches {jax.tree_util.keystr(path)}"


def test_an_example_does_not_depend_on_its_batch(member):
  changed = member.events[::-1].copy()
  changed[2:4] = member.events[2:4]
  together, elsewhere = (bound(member, batch_of(x), train=True).nats for x in (member.events, changed))
  np.testing.assert_array_equal(together[2:4], elsewhere[2:4])
