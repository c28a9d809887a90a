"""Every process against brute force on small spaces, in float64 written out here."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.processes import PROCESSES
from catgen.processes.schedules import SCHEDULES, continuous_level, levels, spans

K = 3
T = 6
NAMES = sorted(PROCESSES)


def kernel(name: str, keep: float) -> np.ndarray:
  """Row-stochastic matrix of one move, written from the definition."""
  if name == "uniform":
    return keep * np.eye(K) + (1 - keep) * np.ones((K, K)) / K
  matrix = np.zeros((K + 1, K + 1))
  matrix[:K, :K] = keep * np.eye(K)
  matrix[:K, K] = 1 - keep
  matrix[K, K] = 1.0
  return matrix


def table():
  return SCHEDULES["cosine"].make().table(T)


def pairs(num_states):
  grid = np.array(list(itertools.product(range(num_states), range(K))), np.int32)
  return jnp.asarray(grid[:, 0]), jnp.asarray(grid[:, 1])


@pytest.mark.parametrize("name", NAMES)
def test_steps_compose_to_the_marginal(name):
  kept, product = table(), np.eye(K + (name == "absorbing"))
  process = PROCESSES[name].make(K)
  x = jnp.arange(K)
  for t in range(1, T + 1):
    product = product @ kernel(name, kept[t] / kept[t - 1])
    level = jax.tree.map(lambda a, t=t: a[t], levels(kept))
    probs = np.exp(process.marginal(x, level))
    np.testing.assert_allclose(probs, product[:K], atol=2e-7)
    np.testing.assert_allclose(probs.sum(-1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("s", "t"), [(0, 1), (0, T), (1, 2), (2, 5), (T - 1, T)])
def test_posterior_is_bayes(name, s, t):
  kept = table()
  process = PROCESSES[name].make(K)
  span = jax.tree.map(lambda a: a[0], spans(kept, np.array([s, t])))
  x_t, x = pairs(process.num_states)
  got = np.exp(process.posterior(x_t, x, span))
  to_s, s_to_t = kernel(name, kept[s]), kernel(name, kept[t] / kept[s])
  for row, u, v in zip(got, x_t, x, strict=True):
    joint = to_s[v] * s_to_t[:, u]
    if joint.sum() > 0:  # a visible position other than x cannot occur in masked diffusion
      np.testing.assert_allclose(row, joint / joint.sum(), atol=3e-7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("s", "t"), [(0, 1), (0, T), (1, 2), (2, 5), (T - 1, T)])
def test_kl_is_that_of_the_distributions(name, s, t):
  kept = table()
  process = PROCESSES[name].make(K)
  span = jax.tree.map(lambda a: a[0], spans(kept, np.array([s, t])))
  x_t, x = pairs(process.num_states)
  log_x0 = jax.nn.log_softmax(jax.random.normal(jax.random.key(0), (x.shape[0], K)) * 3)
  to_s, s_to_t = kernel(name, kept[s]), kernel(name, kept[t] / kept[s])
  got = process.kl(x_t, x, log_x0, span)
  for value, u, v, log_row in zip(got, x_t, x, np.asarray(log_x0, np.float64), strict=True):
    q = to_s[v] * s_to_t[:, u]
    if q.sum() == 0:
      continue
    probs = np.exp(log_row) / np.exp(log_row).sum()
    p = (probs @ to_s[:K]) * s_to_t[:, u]
    q, p = q / q.sum(), p / p.sum()
    expected = sum(a * np.log(a / b) for a, b in zip(q, p, strict=True) if a > 0)
    np.testing.assert_allclose(value, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("s", [0, 2])
def test_predictive_averages_the_posterior_kernel(name, s):
  kept = table()
  process = PROCESSES[name].make(K)
  span = jax.tree.map(lambda a: a[0], spans(kept, np.array([s, s + 1])))
  x_t = jnp.arange(process.num_states)
  log_x0 = jax.nn.log_softmax(jax.random.normal(jax.random.key(1), (x_t.shape[0], K)))
  got = np.exp(process.predictive(x_t, log_x0, span))
  to_s, s_to_t = kernel(name, kept[s]), kernel(name, kept[s + 1] / kept[s])
  for row, u, log_row in zip(got, x_t, np.asarray(log_x0, np.float64), strict=True):
    joint = (np.exp(log_row) @ to_s[:K]) * s_to_t[:, u]
    if name == "absorbing" and u < K:
      joint = np.eye(K + 1)[u]  # visible positions stay, whatever is predicted
    np.testing.assert_allclose(row, joint / joint.sum(), atol=3e-7)


@pytest.mark.parametrize("name", NAMES)
def test_corrupt_draws_from_the_marginal(name):
  process = PROCESSES[name].make(K)
  level = jax.tree.map(lambda a: a[3], levels(table()))
  x = jnp.zeros((1, 200_000), jnp.int32) + 1
  drawn = process.corrupt(jax.random.split(jax.random.key(0), 1), x, level)
  frequency = np.bincount(np.asarray(drawn[0]), minlength=process.num_states) / x.size
  expected = np.exp(process.marginal(x[:, :1], level))[0, 0]
  assert np.all(np.abs(frequency - expected) < 5 * np.sqrt(expected * (1 - expected) / x.size) + 1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize("time", [0.1, 0.5, 0.9])
def test_rate_is_the_limit_of_many_steps(name, schedule, time):
  process, chosen = PROCESSES[name].make(K), SCHEDULES[schedule].make()
  x_t, x = pairs(process.num_states)
  log_x0 = jax.nn.log_softmax(jax.random.normal(jax.random.key(2), (x.shape[0], K)))
  level, slope = continuous_level(chosen, jnp.full(x.shape, time))
  got = process.kl_rate(x_t, x, log_x0, level, slope)
  steps = 4000
  kept = chosen.keep(np.array([time - 1 / steps, time]), np)
  to_s, s_to_t = kernel(name, kept[0]), kernel(name, kept[1] / kept[0])
  for value, u, v, log_row in zip(got, x_t, x, np.asarray(log_x0, np.float64), strict=True):
    q = to_s[v] * s_to_t[:, u]
    if q.sum() == 0:
      continue
    p = (np.exp(log_row) @ to_s[:K]) * s_to_t[:, u]
    q, p = q / q.sum(), p / p.sum()
    limit = steps * sum(a * np.log(a / b) for a, b in zip(q, p, strict=True) if a > 0)
    np.testing.assert_allclose(value, limit, rtol=1e-2, atol=2e-3)


def test_uniform_prior_kl_keeps_a_tiny_value():
  process = PROCESSES["uniform"].make(27)
  level = levels(SCHEDULES["paper_cosine"].make().table(1000))
  last = jax.tree.map(lambda a: a[-1], level)
  value = float(process.prior_kl(jnp.zeros((1, 1), jnp.int32), last)[0, 0])
  keep = float(last.keep)
  q = np.full(27, (1 - keep) / 27)
  q[0] += keep
  np.testing.assert_allclose(value, np.sum(q * np.log(27 * q)), rtol=1e-3)
  np.testing.assert_allclose(value, keep**2 * 26 / 2, rtol=1e-2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("t", [1, T])
def test_gradients_are_finite_for_certain_predictions(name, t):
  process = PROCESSES[name].make(K)
  span = jax.tree.map(lambda a: a[0], spans(table(), np.array([t - 1, t])))
  x_t, x = pairs(process.num_states)

  def total(logits):
    return process.kl(x_t, x, jax.nn.log_softmax(logits), span).sum()

  for scale in (0.0, 30.0, 300.0):
    logits = scale * jnp.broadcast_to(jnp.array([1.0, -1.0, 0.0]), (x.shape[0], K))
    assert bool(jnp.all(jnp.isfinite(jax.grad(total)(logits))))
    assert np.isfinite(total(logits))


def test_both_ends_of_time():
  for name in NAMES:
    process, level = PROCESSES[name].make(K), levels(table())
    x = jnp.arange(K)
    first, last = (jax.tree.map(lambda a, i=i: a[i], level) for i in (0, -1))
    np.testing.assert_allclose(np.exp(process.marginal(x, first))[:, :K], np.eye(K), atol=0)
    prior = np.exp(process.prior_log_prob(jnp.arange(process.num_states)))
    np.testing.assert_allclose(np.exp(process.marginal(x, last)), np.broadcast_to(prior, (K, prior.size)), atol=1e-7)


@pytest.mark.parametrize(
  ("num_classes", "schedule", "num_steps"), [(27, "paper_cosine", 1000), (256, "cosine", 4), (8, "linear", 50)]
)
def test_a_uniform_prediction_loses_exactly_log_k(num_classes, schedule, num_steps):
  """The expectation over x_t, by enumeration: all steps and the prior add up to log K (posterior form)."""
  process, kept = PROCESSES["uniform"].make(num_classes), SCHEDULES[schedule].make().table(num_steps)
  x_t = jnp.arange(num_classes)
  x = jnp.zeros_like(x_t)
  log_x0 = jnp.full((num_classes, num_classes), -np.log(num_classes), jnp.float32)

  @jax.jit
  def expected_loss(span):
    weights = jnp.exp(process.marginal(x[:1], span.t))[0]
    return weights @ process.kl(x_t, x, log_x0, span)

  steps = jax.lax.map(expected_loss, jax.tree.map(jnp.asarray, spans(kept, np.arange(num_steps + 1))))
  last = jax.tree.map(lambda a: a[-1], levels(kept))
  total = np.asarray(steps, np.float64).sum() + float(process.prior_kl(x[:1], last)[0])
  np.testing.assert_allclose(total, np.log(num_classes), atol=2e-4)
