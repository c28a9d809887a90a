"""Masking at rates of their own against brute force, in float64 written out here."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.processes import absorbing, masking_rates
from catgen.processes.levels import Level, Span
from catgen.processes.masking_rates import Rates
from tests.processes.test_processes import divergence, normalized, pairs, predictions

K = 3
BY_CLASS, BY_POSITION = np.array([0.4, 1.0, 2.5]), np.array([0.7, 1.8])
LOST = (0.2, 0.6)  # at s and t
MADE = Rates(np.float32(BY_CLASS), np.float32(BY_POSITION))


def kernel(lost: float, rates: np.ndarray) -> np.ndarray:
  """Row-stochastic matrix from clean categories to K + 1 states."""
  gone = lost**rates
  return np.concatenate([np.diag(1 - gone), gone[:, None]], axis=1)


def step(rates: np.ndarray, s: float, t: float) -> np.ndarray:
  """The move between K + 1 states with which `kernel` at s becomes `kernel` at t."""
  kept = (1 - t**rates) / (1 - s**rates)
  matrix = np.zeros((K + 1, K + 1))
  matrix[:K, :K], matrix[:K, K], matrix[K, K] = np.diag(kept), 1 - kept, 1.0
  return matrix


def level(lost):
  return Level(np.float32(1 - lost), np.float32(lost))


def span(s, t):
  return Span(level(s), level(t), level(0.0), level(s / t))


def everything():
  """Returns (x_t, x, log_x0) with two positions, the second like the first: all pairs along the batch."""
  x_t, x = (np.repeat(each[:, None], 2, axis=1) for each in pairs(K + 1, K))
  return x_t, x, np.repeat(predictions(len(x), K, 2.0)[:, None], 2, axis=1)


@functools.cache
def found(s: float = LOST[0], t: float = LOST[1]):
  """Returns what the process says, in float64: one program for all that is told."""

  @jax.jit
  def say(rates, x_t, x, log_x0, span):
    process, slope = masking_rates.process(rates), jnp.ones(len(x))
    return (
      process.marginal(x, span.t),
      process.posterior(x_t, x, span),
      process.predictive(x_t, log_x0, span),
      process.kl(x_t, x, log_x0, span),
      process.kl_rate(x_t, x, log_x0, span.t, slope),
      absorbing.process(K).kl_rate(x_t, x, log_x0, span.t, slope),
    )

  return [np.asarray(each, np.float64) for each in say(MADE, *everything(), span(s, t))]


@pytest.mark.parametrize("position", [0, 1])
def test_laws_are_those_of_the_chain(position):
  rates, (s, t) = BY_POSITION[position] * BY_CLASS, LOST
  x_t, x, log_x0 = (each[:, position] for each in everything())
  to_s, to_t, s_to_t = kernel(s, rates), kernel(t, rates), step(rates, s, t)
  np.testing.assert_allclose(to_s @ s_to_t, to_t, rtol=1e-12)  # the moves written here compose
  marginal, posterior, predictive, kl = (np.asarray(each)[:, position] for each in found()[:4])
  np.testing.assert_allclose(np.exp(marginal), to_t[x], atol=3e-7)
  joint = to_s[x] * s_to_t[:, x_t].T
  possible = joint.sum(-1) > 0
  q = normalized(joint[possible])
  np.testing.assert_allclose(np.exp(posterior[possible]), q, atol=3e-7)
  masked = x_t == K
  each = normalized(to_s[:, None] * s_to_t.T[K][None, None])[:, 0]  # of every clean category behind a mask
  p = np.where(masked[:, None], normalized(np.exp(np.float64(log_x0))) @ each, np.eye(K + 1)[x_t])
  np.testing.assert_allclose(np.exp(predictive), p, atol=3e-7)
  np.testing.assert_allclose(kl[possible], divergence(q, p[possible]), rtol=1e-5, atol=1e-6)


def test_the_rate_is_the_limit_of_the_divergence():
  x_t, x, log_x0 = everything()
  t, h = LOST[1], 1e-5
  probs = normalized(np.exp(np.float64(log_x0)))
  rates = BY_POSITION[:, None] * BY_CLASS
  own = np.take_along_axis(np.broadcast_to(rates, (len(x), 2, K)), x[..., None], -1)[..., 0]
  reveal, stay = 1 - (1 - h / t) ** own, ((1 - h / t) ** rates * probs).sum(-1)
  of_x = np.take_along_axis(probs, x[..., None], -1)[..., 0]
  nats = -reveal * np.log(of_x) + (1 - reveal) * np.log((1 - reveal) / stay)
  expected = np.where(x_t == K, nats / h, 0.0)
  np.testing.assert_allclose(found()[4], expected, rtol=1e-3, atol=1e-5)
  assert found()[4].min() >= 0
  assert np.abs(found()[4] - found()[5]).max() > 0.1  # and it is not the one of equal rates


def test_the_slope_of_the_last_move_is_that_of_the_cross_entropy_and_leaves_rates_alone():
  def nats(logits, rates, span):
    log_x0 = jnp.broadcast_to(jax.nn.log_softmax(logits), (1, 2, K))
    return masking_rates.kl(jnp.array([[K, K]]), jnp.array([[1, 2]]), log_x0, span, rates=rates)[0, 0]

  last = span(0.0, LOST[1])
  value, (by_logits, by_rates) = jax.jit(jax.value_and_grad(nats, (0, 1)))(np.zeros(K, np.float32), MADE, last)
  np.testing.assert_allclose(value, np.log(3), rtol=1e-6)
  np.testing.assert_allclose(by_logits, [1 / 3, -2 / 3, 1 / 3], rtol=1e-6)
  for each in by_rates:
    np.testing.assert_array_equal(each, 0.0)


def test_at_the_end_of_the_way_back_nothing_is_masked():
  predictive = np.exp(found(0.0, LOST[1])[2])
  np.testing.assert_array_equal(predictive[..., K], 0.0)
  np.testing.assert_allclose(predictive.sum(-1), 1.0, rtol=1e-6)


def test_masks_are_drawn_as_often_as_rates_say_and_equal_rates_draw_the_same_ones():
  number, lost = 20_000, 0.3
  keys = jax.random.split(jax.random.key(0), number)
  x, fixed = np.tile(np.array([[0, 2]], np.int32), (number, 1)), Rates(np.ones(K, np.float32), np.float32(1.0))

  @jax.jit
  def draw(keys, x, level, *rates):
    plain = absorbing.process(K).corrupt(keys, x, level)
    return plain, *(masking_rates.process(each).corrupt(keys, x, level) for each in rates)

  plain, same, own = (np.asarray(each) for each in draw(keys, x, level(lost), fixed, MADE))
  np.testing.assert_array_equal(plain, same)
  expected = lost ** (BY_POSITION * BY_CLASS[[0, 2]])
  np.testing.assert_allclose((own == K).mean(0), expected, atol=4 * np.sqrt(0.25 / number))
