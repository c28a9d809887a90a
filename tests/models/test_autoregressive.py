"""Autoregressive models: what is scored and what is only read."""

import itertools

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.interfaces import EventSpec, InputError, SampleOptions
from catgen.models import MODELS
from catgen.networks import TRUNKS
from tests.parameters import filled

LENGTH, K = 5, 3
MODEL = MODELS["autoregressive"].make(
  event=EventSpec((LENGTH,), K), network=TRUNKS["transformer"](width=8, num_layers=1, num_heads=2)
)
X = np.random.default_rng(0).integers(0, K, (7, LENGTH)).astype(np.int32)
LOG_PROB = jax.jit(lambda params, batch: MODEL.log_prob(params, batch, state={}))
KEYS = jax.random.split(jax.random.key(3), len(X))


@pytest.fixture(scope="module")
def params():
  return filled(jax.eval_shape(MODEL.init, batch_of(X), jax.random.key(0))[0])


def log_prob(params, x, scored=None):
  scored = None if scored is None else np.broadcast_to(scored, x.shape)
  return np.asarray(LOG_PROB(params, batch_of(x)._replace(scored=scored)))


@pytest.mark.parametrize("context", range(LENGTH + 1))
def test_scored_positions_are_conditioned_on_the_others_before_them(params, context):
  prefix, rest = np.arange(LENGTH) < context, np.arange(LENGTH) >= context
  np.testing.assert_allclose(log_prob(params, X, prefix) + log_prob(params, X, rest), log_prob(params, X), rtol=1e-5)
  total = sum(  # a distribution of the rest for every prefix
    np.exp(log_prob(params, np.concatenate([X[:, :context], np.broadcast_to(ending, (7, LENGTH - context))], 1), rest))
    for ending in np.array(list(itertools.product(range(K), repeat=LENGTH - context)), np.int32)
  )
  np.testing.assert_allclose(total, 1.0, rtol=1e-5)


def test_context_enters_through_conditioning_only(params):
  scored = np.array([False, False, True, True, False])
  before, after = (np.array(X) for _ in range(2))
  before[:, 1] = (before[:, 1] + 1) % K
  after[:, 4] = (after[:, 4] + 1) % K
  assert np.abs(log_prob(params, before, scored) - log_prob(params, X, scored)).min() > 1e-4
  np.testing.assert_array_equal(log_prob(params, after, scored), log_prob(params, X, scored))


def test_bound_and_weight_count_the_same_positions(params):
  batch = batch_of(X)._replace(scored=np.broadcast_to(np.arange(LENGTH) > 2, X.shape))
  bound = jax.jit(lambda p, b, k: MODEL.bound(p, b, k, state={}, train=False).nats)(params, batch, KEYS)
  weight = jax.jit(lambda p, b, k: MODEL.log_weight(p, b, k, state={}))(params, batch, KEYS)
  np.testing.assert_array_equal(bound, LOG_PROB(params, batch))
  np.testing.assert_array_equal(weight, bound)


def test_restricted_probabilities_are_those_of_the_restricted_sampler(params):
  """The order is the model's own, so that x has one path, whatever restricts each draw."""
  events = np.array(list(itertools.product(range(K), repeat=LENGTH)), np.int32)
  options, greedy = SampleOptions(order="left_to_right", temperature=0.7, top_k=2), SampleOptions(temperature=0.0)

  @jax.jit
  def all_of(params, batch, keys):
    own = MODEL.orders.log_prob(params, batch, state={}, options=SampleOptions(order="left_to_right"))
    drawn = MODEL.sample(params, keys, state={}, options=greedy).x
    scored = [MODEL.orders.log_prob(params, batch, state={}, options=each) for each in (options, greedy)]
    return own, jax.numpy.exp(jax.numpy.asarray(scored)), drawn

  own, (colder, surest), drawn = jax.device_get(all_of(params, batch_of(events), KEYS))
  np.testing.assert_allclose(own, log_prob(params, events), rtol=1e-6)
  assert colder.sum() == pytest.approx(1, abs=1e-5)
  assert (colder == 0).sum() == K**LENGTH - 2**LENGTH
  np.testing.assert_array_equal(drawn, np.repeat(events[surest == 1], len(drawn), axis=0))
  with pytest.raises(InputError, match="positions_per_call does not apply"):
    MODEL.orders.log_prob(params, batch_of(X), state={}, options=SampleOptions(positions_per_call=2))
  with pytest.raises(InputError, match="no order 'margin'; it has: left_to_right"):
    MODEL.sample(params, KEYS, state={}, options=SampleOptions(order="margin"))


def test_one_position_after_another_says_what_all_at_once_say(params):
  valid = np.broadcast_to(np.arange(LENGTH) < LENGTH - 1, X.shape)

  @jax.jit
  def log_p(params, batch):
    carry, total = MODEL.sequential.start(params, batch.valid, state={}), 0.0
    for position in range(LENGTH):
      log_probs, carry = MODEL.sequential.log_probs(params, carry, position)
      carry = MODEL.sequential.observe(carry, position, batch.x[:, position])
      own = jax.numpy.take_along_axis(log_probs, batch.x[:, position, None], axis=1)[:, 0]
      total += jax.numpy.where(batch.valid[:, position], own, 0.0)
    return total

  batch = batch_of(X, valid)
  np.testing.assert_allclose(log_p(params, batch), LOG_PROB(params, batch), rtol=1e-5)
