"""What every family of models promises, on a space of few events whose probabilities are known exactly."""

import functools
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from catgen.batches import batch_of, concatenate, take
from catgen.bounds import importance_weighted
from catgen.interfaces import Batch, Bound, SampleOptions
from catgen.keys import example_keys
from catgen.models import MODELS
from tests.contracts.families import FAMILIES, SLOW, family
from tests.contracts.making import CONTINUOUS_STEPS, as_tree, gradient_of, uneven

NAMES = sorted(FAMILIES)
DIFFUSION = ("uniform", "absorbing", "prior", "hybrid", "kernel", "pairs")
DRAWS, EVERY = 2000, 4  # EVERY: of as many draws, one is a bound over all steps, which has less variance


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
  flows = {"argmax_flow", "dequantized_flow", "discrete_flow", "denoising_flow"}
  others = {"diffusion", "learned_masking", "autoregressive", "block_diffusion", "latent_emission"}
  assert set(MODELS) == {*others, *flows}
  first = {*DIFFUSION, "learned", "autoregressive", "block", "emission"} | {kind.split("_")[0] for kind in flows}
  assert {name.split("_")[0] for name in NAMES} == first


def test_probabilities_sum_to_one(member):
  many = ("classes", "base3", "_flow", "emission_map", "_af", "_scf")  # a quadrature over four or six channels
  quadrature = 1e-3 if member.name.endswith(many) else 1e-4
  latent = member.model.latent is not None
  tolerance = 2e-3 if "continuous" in member.name else quadrature if latent else 1e-5
  if member.invalid is None:  # known from the samples only
    assert 0.0 < member.probs.sum() < 1.0
  else:
    np.testing.assert_allclose(member.probs.sum() + member.invalid, 1.0, atol=tolerance)
  assert member.probs.std() > 0.01  # the model depends on its input


class Said(NamedTuple):
  """What a model says of examples, each with a key and a stratum of its own."""

  bound: Bound
  log_weight: jax.Array | None
  full: tuple | None  # of each EVERY-th example: the bound over all steps, and its profile


@functools.cache
def program(name: str):
  """Returns (params, batch, seed, strata) -> Said: one program for all that is said of a family's examples."""
  model, state = family(name).model, family(name).state

  def say(params, batch, seed, strata):
    keys = example_keys(jax.random.key(seed), batch.index)
    some = take(batch, slice(None, None, EVERY))
    others = example_keys(jax.random.key(seed + 1), some.index)
    return Said(
      model.bound(params, batch, keys, state=state, train=False, strata=strata),
      model.log_weight and model.log_weight(params, batch, keys, state=state),
      model.full_bound and model.full_bound(params, some, others, state=state),
    )

  return jax.jit(say)


def some_strata(batch: Batch) -> np.ndarray:
  return np.float32(batch.index * 0.618 % 1)


def said(member, batch: Batch, seed: int = 2, strata: np.ndarray | None = None) -> Said:
  """Returns what the model says of any number of examples; strata: None = some."""
  strata = some_strata(batch) if strata is None else strata
  size, found = 48 * len(member.events), []
  for start in range(0, len(batch.x), size):
    whole = np.arange(start, start + size) % len(batch.x)  # the last one is filled up from the front
    found.append(jax.device_get(program(member.name)(member.params, take(batch, whole), seed, strata[whole])))
  return jax.tree.map(lambda *parts: np.concatenate(parts)[: -(-len(batch.x) * len(parts[0]) // size)], *found)


@functools.cache
def drawn(name: str) -> Said:
  """Returns what the model says of every event, DRAWS times, with strata spread evenly: [events * DRAWS]."""
  batch, random = repeated(family(name), DRAWS), np.random.default_rng(6)
  spread = (random.random() + random.permutation(len(batch.x)) / len(batch.x)) % 1
  return said(family(name), batch, 5, np.float32(spread))


def by_event(values: np.ndarray, draws: int = DRAWS) -> np.ndarray:
  return values.astype(np.float64).reshape(-1, draws)


def test_bound_lies_below_log_p(member):
  nats = by_event(drawn(member.name).bound.nats)
  error = nats.std(1) / np.sqrt(DRAWS)
  assert np.all(nats.mean(1) <= log_p(member) + 4 * error + 3e-3)
  assert np.all(nats.mean(1) >= 3 * log_p(member) - 3)  # and is not vacuous


def test_one_random_time_step_is_no_importance_weight():
  nats = by_event(drawn("uniform").bound.nats)
  assert np.exp(nats).mean(1).sum() > 1.1


def test_terms_add_up_and_draws_repeat(member):
  first, again = (said(member, batch_of(member.events)).bound for _ in range(2))
  np.testing.assert_array_equal(first.nats, again.nats)
  np.testing.assert_allclose(sum(first.terms.values()), first.nats, rtol=1e-6)
  assert first.nats.dtype == np.float32


def test_full_bound_is_the_mean_of_bounds(member):
  if member.model.full_bound is None:
    assert not member.name.startswith(DIFFUSION) or "continuous" in member.name
    return
  full, profile = drawn(member.name).full
  one, all_steps = by_event(drawn(member.name).bound.nats), by_event(full.nats, DRAWS // EVERY)
  error = np.sqrt((one.var(1) + EVERY * all_steps.var(1)) / DRAWS)
  assert np.all(np.abs(one.mean(1) - all_steps.mean(1)) < 4 * error + 1e-3)
  by_position = profile.by_position.reshape(len(full.nats), -1)
  np.testing.assert_allclose(by_position.sum(-1), -full.nats, rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(profile.by_time.sum(-1) - full.terms["prior"], -full.nats, rtol=1e-4, atol=1e-4)


def test_weights_average_to_the_probability(member):
  if member.model.log_weight is None:
    assert member.name in {f"{name}_continuous" for name in DIFFUSION} - {"absorbing_continuous"}
    return
  weights = np.exp(by_event(drawn(member.name).log_weight))
  error = weights.std(1) / np.sqrt(DRAWS)
  np.testing.assert_array_less(np.abs(weights.mean(1) - member.probs), 4.5 * error + 2e-4)


def test_importance_weighted_bound_rises_with_draws_and_stays_below(member):
  if member.model.log_weight is None:
    return
  weights = by_event(drawn(member.name).log_weight)[:, :1024].T  # draws first
  means, errors = [], []
  for size in (1, 2, 4, 8, 16):
    bounds = np.asarray(importance_weighted(np.float32(weights.reshape(size, -1, len(member.events)))), np.float64)
    means.append(bounds.mean(0))
    errors.append(bounds.std(0) / np.sqrt(len(bounds)))
  assert np.all(np.diff(np.stack(means), axis=0) >= -1e-5)  # on the same draws, by Jensen's inequality
  assert np.all(means[-1] <= log_p(member) + 4 * errors[-1] + 1e-3)


def test_a_draw_of_the_bound_is_the_joint_density_over_the_posterior(member):
  latent = member.model.latent
  if latent is None:
    return
  batch, own = batch_of(member.events), {"state": member.state}
  other = batch._replace(x=(batch.x + 1) % member.model.event.num_classes)

  @jax.jit
  def all_of(params, batch, both):
    v, log_q = latent.infer(params, batch, example_keys(jax.random.key(2), batch.index), **own)
    twice = jnp.concatenate([v, v])
    given, likelihood = latent.log_q(params, both, twice, **own), latent.log_likelihood(params, both, twice, **own)
    return latent.log_prob(params, v, **own), log_q, given, likelihood

  found = jax.device_get(all_of(member.params, batch, concatenate([batch, other])))
  log_prob, log_q, given, likelihood = found
  likelihood, wrong = np.split(likelihood, 2)
  joint = log_prob + np.where(member.drawn_given, likelihood, 0.0)
  np.testing.assert_allclose(joint - log_q, said(member, batch).bound.nats, rtol=2e-4, atol=1e-4)
  at_draw, elsewhere = np.split(given, 2)
  # where float32 puts a latent on the edge of its region, only the noise tells its density
  assert np.isfinite(at_draw).mean() > 0.9
  np.testing.assert_allclose(at_draw[np.isfinite(at_draw)], log_q[np.isfinite(at_draw)], rtol=1e-3, atol=5e-3)
  if member.drawn_given:
    assert np.all(np.isfinite(elsewhere))
    assert np.all(np.exp(likelihood) + np.exp(wrong) < 1)
  else:
    assert np.all(np.isneginf(elsewhere))
    assert np.all(np.isneginf(wrong))
    assert np.all(likelihood[np.isfinite(at_draw)] == 0)
  drawn_invalid = member.invalid is None or member.invalid > 0
  assert latent.has_unused_codes == drawn_invalid


def test_samples_have_the_models_frequencies(member):
  num, steps = (5_000, CONTINUOUS_STEPS) if "continuous" in member.name else (10_000, None)

  def draw(params):
    keys = example_keys(jax.random.key(3), jnp.arange(num))
    return member.model.sample(params, keys, state=member.state, options=SampleOptions(num_steps=steps))

  samples = jax.device_get(jax.jit(draw)(member.params))
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
  nats = [said(member, batch_of(x)._replace(valid=valid)).bound.nats for x in (events, other)]
  assert nats[0][0] == 0.0
  np.testing.assert_allclose(nats[0], nats[1], rtol=1e-5, atol=1e-6)
  assert np.any(np.abs(nats[0] - said(member, batch_of(member.events)).bound.nats) > 1e-3)


@pytest.mark.parametrize("name", params({*NAMES} - {"denoising_positions"}))
def test_jit_changes_nothing(name):
  member = family(name)
  on_host = batch_of(member.events)
  batch, strata = jax.device_put((on_host, some_strata(on_host)))
  keys = example_keys(jax.random.key(2), batch.index)
  eager = member.model.bound(member.params, batch, keys, state=member.state, train=False, strata=strata).nats
  np.testing.assert_allclose(eager, said(member, on_host).bound.nats, rtol=2e-4, atol=1e-4)


def test_gradients_are_finite_and_reach_every_parameter(member):
  numbers, _ = gradient_of(member.model)(member.params, batch_of(uneven(member.events)), 2, member.state)
  for path, leaf in jax.tree_util.tree_leaves_with_path(as_tree(np.asarray(numbers), member.params)):
    assert np.all(np.isfinite(leaf)), path
    if member.events[0].size == 1 and "conditioner" in str(path):
      continue  # it reads the other positions, and there are none
    if member.name.endswith("_unet") and re.search(r"'(query|key)(_scale)?'", str(path)):
      continue  # its coarsest map has one place, whose attention to itself is certain
    if re.search(r"'emission'.*'recurrent_kernel'", str(path)):
      continue  # of two positions each reads the other's state, which nothing came before
    assert np.any(leaf != 0), f"no gradient reaches {jax.tree_util.keystr(path)}"


def test_an_example_does_not_depend_on_its_batch(member):
  events = uneven(member.events)
  changed = events[::-1].copy()
  changed[2:4] = events[2:4]
  together, elsewhere = (
    gradient_of(member.model)(member.params, batch_of(x), 2, member.state)[1] for x in (events, changed)
  )
  assert np.any(np.asarray(together) != np.asarray(elsewhere))
  np.testing.assert_array_equal(np.asarray(together)[2:4], np.asarray(elsewhere)[2:4])
