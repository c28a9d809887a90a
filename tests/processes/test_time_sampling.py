"""Time steps: probabilities, stratification, and a deterministic loss history."""

import jax
import jax.numpy as jnp
import numpy as np

from catgen.processes import time_sampling

T = 8


def test_history_follows_the_moving_average_and_averages_duplicates():
  update = jax.jit(lambda *given: time_sampling.update(time_sampling.init(T), *given))
  t, losses = np.array([2, 2, 5, 7], np.int32), np.array([1.0, 3.0, 2.0, 9.0], np.float32)
  valid = np.array([True, True, True, False])
  history = update(t, losses, valid)
  expected = np.zeros(T)
  expected[1], expected[4] = 0.1 * (1 + 9) / 2, 0.1 * 4
  np.testing.assert_allclose(history.squares, expected, rtol=1e-6)
  np.testing.assert_array_equal(history.counts, [0, 2, 0, 0, 1, 0, 0, 0])
  order = np.array([1, 0, 2, 3])
  again = update(t[order], losses[order], valid)
  np.testing.assert_array_equal(history.squares, again.squares)


def test_uniform_until_every_step_was_seen_more_than_ten_times():
  squares, probabilities = np.arange(1.0, T + 1, dtype=np.float32), jax.jit(time_sampling.probabilities)
  counts = np.full(T, 11, np.int32)
  p = np.asarray(probabilities(time_sampling.History(squares, counts)))
  counts[3] = 10
  np.testing.assert_allclose(probabilities(time_sampling.History(squares, counts)), 1 / T)
  weights = np.sqrt(np.arange(1.0, T + 1) + 1e-10) + 1e-4
  weights[0] = weights[1]
  np.testing.assert_allclose(p, weights / weights.sum(), rtol=1e-6)


def test_draws_have_the_probabilities_and_strata_are_even():
  draw, draw_uniform = jax.jit(time_sampling.draw), jax.jit(time_sampling.draw_uniform, static_argnums=1)
  p = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
  u = ((np.arange(1000) + 0.5) / 1000).astype(np.float32)
  counts = np.bincount(np.asarray(draw(u, p)) - 1, minlength=4)
  np.testing.assert_allclose(counts, [100, 200, 300, 400], atol=1)
  counts = np.bincount(np.asarray(draw_uniform(u, 4)) - 1, minlength=4)
  np.testing.assert_array_equal(counts, [250] * 4)
  edges = np.array([0.0, 1 - 2**-24], np.float32)
  assert draw_uniform(edges, 1000).tolist() == [1, 1000]
  assert time_sampling.draw(jnp.asarray(edges), jnp.asarray(p)).tolist() == [1, 4]
  assert draw(edges, p).tolist() == [1, 4]
