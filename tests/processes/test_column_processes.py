"""Uniform noise on positions of different sizes is, at each, the process of that many categories."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from catgen.keys import example_keys
from catgen.processes import PROCESSES
from catgen.processes.schedules import levels, spans
from tests.processes.test_processes import SCHEDULED, at_time

SIZES = (2, 5, 1, 3)
LARGEST, ROWS = max(SIZES), 24
PROCESS = PROCESSES["uniform"]()(LARGEST, np.array(SIZES))
RNG = np.random.default_rng(0)
X, X_T = (np.stack([RNG.integers(0, size, ROWS) for size in SIZES], axis=1).astype(np.int32) for _ in range(2))
LOGITS = 2.0 * RNG.normal(size=(ROWS, len(SIZES), LARGEST))
LOGITS[..., :][:, np.arange(LARGEST) >= np.array(SIZES)[:, None]] = -np.inf
LOG_X0 = scipy.special.log_softmax(LOGITS, axis=-1).astype(np.float32)
LEVEL = jax.tree.map(lambda each: np.broadcast_to(each[3], ROWS), levels(SCHEDULED))
SPAN = jax.tree.map(lambda each: np.broadcast_to(each[0], ROWS), spans(SCHEDULED, np.array([2, 4])))


@functools.cache
def of_size(size: int):
  return PROCESSES["uniform"]()(size)


def calls(process, time, x, x_t, log_x0):
  """Returns what the functions of a process say."""
  level, slope = time[0], jnp.asarray(time[1])
  return {
    "marginal": process.marginal(x, LEVEL),
    "likelihood": process.likelihood(x_t, LEVEL),
    "posterior": process.posterior(x_t, x, SPAN),
    "predictive": process.predictive(x_t, log_x0, SPAN),
    "kl": process.kl(x_t, x, log_x0, SPAN),
    "kl_rate": process.kl_rate(x_t, x, log_x0, level, slope),
    "prior_log_prob": process.prior_log_prob(x_t),
    "prior_kl": process.prior_kl(x, LEVEL),
  }


@functools.cache
def compiled(size: int | None):
  time = jax.tree.map(lambda each: np.broadcast_to(each, ROWS), at_time("cosine")(np.float32(0.4)))
  return jax.jit(functools.partial(calls, PROCESS if size is None else of_size(size), time))


@pytest.mark.parametrize(
  "position", [pytest.param(0, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.slow), 2, 3]
)
def test_every_number_is_that_of_the_process_of_the_positions_own_categories(position):
  size, here = SIZES[position], (slice(None), slice(position, position + 1))
  expected = compiled(size)(X[here], X_T[here], LOG_X0[here][..., :size])
  for name, found in compiled(None)(X, X_T, LOG_X0).items():
    own = np.asarray(found)[here]
    if own.ndim == 3:
      assert np.isneginf(own[..., size:]).all(), name
      own = own[..., :size]
    np.testing.assert_allclose(own, expected[name], rtol=1e-6, atol=1e-7, err_msg=name)
    assert not np.isnan(own).any(), name


def test_gradients_of_divergences_are_those_of_the_process_of_the_positions_own_categories():
  def total(process, x, x_t):
    return jax.jit(jax.grad(lambda logits: process.kl(x_t, x, jax.nn.log_softmax(logits), SPAN).sum()))

  found = np.asarray(total(PROCESS, jnp.asarray(X), jnp.asarray(X_T))(LOGITS.astype(np.float32)))
  for d, size in ((1, 5), (3, 3)):  # each is a program
    here = (slice(None), slice(d, d + 1))
    expected = total(of_size(size), jnp.asarray(X[here]), jnp.asarray(X_T[here]))(
      LOGITS[here][..., :size].astype(np.float32)
    )
    np.testing.assert_allclose(found[here][..., :size], expected, atol=1e-6)
  assert np.isfinite(found).all()
  assert not found[:, np.arange(LARGEST) >= np.array(SIZES)[:, None]].any()


def test_draws_of_noise_are_uniform_over_the_positions_own_categories():
  keys, lost = example_keys(jax.random.key(0), jnp.arange(4000)), jax.tree.map(lambda e: e[-1], levels(SCHEDULED))
  start = jnp.zeros((4000, len(SIZES)), jnp.int32)
  for drawn in jax.jit(lambda: (PROCESS.prior_sample(keys, (len(SIZES),)), PROCESS.corrupt(keys, start, lost)))():
    for d, size in enumerate(SIZES):
      shares = np.bincount(np.asarray(drawn)[:, d], minlength=LARGEST) / 4000
      assert not shares[size:].any()
      assert np.abs(shares[:size] - 1 / size).max() < 5 / np.sqrt(4000)


def test_the_level_at_which_a_share_is_wrong_is_a_mean_over_columns():
  wrong = 1 - PROCESS.keep_at(0.1)
  assert wrong * np.mean([1 - 1 / size for size in SIZES]) == pytest.approx(0.1)
  assert PROCESSES["uniform"]()(1, np.array([1, 1])).keep_at(0.0) == 1.0
