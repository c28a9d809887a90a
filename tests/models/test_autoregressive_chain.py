"""Autoregressive models whose network is a Markov chain written here: scores, draws and completions by its table."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from catgen.interfaces import EventSpec, InputError, SampleOptions
from catgen.models import MODELS
from catgen.networks import TRUNKS
from tests.models.stubs import keys_of, keys_up_to, whole

LENGTH, K, DRAWS = 3, 3, 6000
NETWORK = TRUNKS["transformer"](width=8, num_layers=1, num_heads=2)
LOGITS = np.random.default_rng(0).normal(size=(K + 1, K)) * 1.5  # of a category given the one before; row K begins
EVENTS = np.array(list(itertools.product(range(K), repeat=LENGTH)), np.int32)


def chain(params, *told, method="__call__", **keywords):
  """A network that reads nothing but the category before, which for the first is K."""
  if method == "init_cache":
    return jnp.zeros(())
  if method == "decode":
    return params[told[1]], told[0] + 1
  flat = told[0].reshape(len(told[0]), -1)
  before = jnp.concatenate([jnp.full_like(flat[:, :1], K), flat[:, :-1]], axis=1)
  return params[before].reshape(*told[0].shape, K)


@functools.cache
def model(shape=(LENGTH,)):
  """Returns a model whose functions call the chain in place of their network."""
  made = MODELS["autoregressive"].make(event=EventSpec(shape, K), network=NETWORK)

  def rewired(function):
    return functools.partial(function.func, chain, *function.args[1:])

  return made._replace(
    bound=rewired(made.bound),
    sample=rewired(made.sample),
    log_prob=rewired(made.log_prob),
    infill=made.infill._replace(draw=rewired(made.infill.draw)),
  )


def log_table(temperature=1.0):
  scaled = LOGITS / temperature
  return scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True)


def exact(x, temperature=1.0):
  before = np.concatenate([np.full((len(x), 1), K), x[:, :-1]], axis=1)
  return log_table(temperature)[before, x]


PARAMS = LOGITS.astype(np.float32)


def draw(keys, shape=(LENGTH,), params=PARAMS, **options):
  made, options = model(shape), SampleOptions(**options)
  return np.asarray(jax.jit(lambda p, k: made.sample(p, k, state={}, options=options).x)(params, keys))


@functools.cache
def keys(number):
  return keys_up_to(number, seed=4)


def test_scores_are_sums_of_the_table_and_of_scored_positions_alone():
  batch = whole(EVENTS)
  valid, scored = (np.random.default_rng(seed).random(EVENTS.shape) < 0.6 for seed in (1, 2))
  log_prob = jax.jit(lambda p, b: model().log_prob(p, b, state={}))
  np.testing.assert_allclose(log_prob(PARAMS, batch), exact(EVENTS).sum(axis=1), rtol=1e-5)
  np.testing.assert_allclose(np.exp(log_prob(PARAMS, batch)).sum(), 1.0, rtol=1e-5)
  batch = batch._replace(valid=valid, scored=scored)
  np.testing.assert_allclose(log_prob(PARAMS, batch), (exact(EVENTS) * (valid & scored)).sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_draws_follow_the_table_at_a_temperature_of_each_conditional(temperature):
  counts = np.bincount(draw(keys(DRAWS), temperature=temperature) @ [9, 3, 1], minlength=27)
  expected = np.exp(exact(EVENTS, temperature).sum(axis=1)) * DRAWS
  few = expected < 5  # put together
  counts, expected = (np.append(each[~few], each[few].sum() + 1e-9) for each in (counts, expected))
  assert scipy.stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-4


def test_maps_are_drawn_row_by_row():
  """A chain that counts up: category after category in reading order."""
  counting = np.where(np.arange(K)[None] == (np.arange(K + 1)[:, None] + 1) % K, 60.0, 0.0).astype(np.float32)
  np.testing.assert_array_equal(draw(keys(1), (2, 3), counting)[0], [[1, 2, 0], [1, 2, 0]])


@functools.cache
def filled():
  draw = model().infill.draw
  return jax.jit(lambda p, x, seen, k: draw(p, x, seen, k, state={}, options=SampleOptions()).x)


@pytest.mark.parametrize("observed", [(True, False, False), (True, True, False), (False, True, False)])
def test_completions_continue_what_is_observed(observed):
  """After an observed position the chain goes on from it, wherever it is; before it, as if it were not there."""
  x = np.tile(np.array([[1, 2, 0]], np.int32), (DRAWS, 1))
  found = np.asarray(filled()(PARAMS, x, np.broadcast_to(observed, x.shape), keys(DRAWS)))
  before = K
  for position, known in enumerate(observed):
    if known:
      np.testing.assert_array_equal(found[:, position], x[:, position])
      before = int(x[0, position])
      continue
    if before is not None:
      counts = np.bincount(found[:, position], minlength=K)
      assert scipy.stats.chisquare(counts, np.exp(log_table()[before]) * DRAWS).pvalue > 1e-4
    before = None
  assert model().infill.prefix_only


@pytest.mark.parametrize("options", [{"num_steps": 3}, {"num_frames": 1}, {"correction": 0.1}, {"temperature": -0.5}])
def test_options_of_other_samplers_are_refused(options):
  with pytest.raises(InputError, match=r"does not apply|must be positive|at least 2"):
    draw(keys(1), **options)


def test_the_bound_is_the_log_probability_and_its_gradient_that_of_the_table():
  """The gradient of a sum of log softmax: counts of pairs less what the table expects of them."""
  batch = whole(EVENTS[5:11])

  def nats(params, batch, keys):
    bound = model().bound(params, batch, keys, state={}, train=True)
    return bound.nats.sum(), bound.terms

  (total, terms), slope = jax.jit(jax.value_and_grad(nats, has_aux=True))(PARAMS, batch, keys_of(batch))
  x = EVENTS[5:11]
  np.testing.assert_allclose(total, exact(x).sum(), rtol=1e-5)
  assert list(terms) == ["log_prob"]
  before = np.concatenate([np.full((6, 1), K), x[:, :-1]], axis=1)
  expected = np.zeros((K + 1, K))
  np.add.at(expected, (before.ravel(), x.ravel()), 1.0)
  np.add.at(expected, before.ravel(), -np.exp(log_table())[before.ravel()])
  np.testing.assert_allclose(slope, expected, atol=1e-5)
