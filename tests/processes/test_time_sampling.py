"""Time steps: probabilities, stratification, and a deterministic loss history."""

import jax
import jax.numpy as jnp
import numpy as np

from catgen.processes import time_sampling

T = 8


def test_history_follows_the_moving_average_and_averages_duplicates():
  history = time_sampling.init(T)
  t, losses = jnp.array([2, 2, 5, 7]), jnp.array([1.0, 3.0, 2.0, 9.0])
  history = time_sampling.update(history, t, losses, jnp.array([True, True, True, False]))
  expected = np.zeros(T)
  expected[1], expected[4] = 0.1 * (1 + 9) / 2, 0.1 * 4
  np.testing.assert_allclose(history.squares, expected, rtol=1e-6)
  np.testing.assert_array_equal(history.counts, [0, 2, 0, 0, 1, 0, 0, 0])
  order = jnp.array([1, 0, 2, 3])
  again = time_sampling.update(time_sampling.init(T), t[order], losses[order], jnp.array([True, True, True, False]))
  np.testing.assert_array_equal(history.squares, again.squares)


def test_uniform_until_every_step_was_seen_more_than_ten_times():
  squares = jnp.arange(1.0, T + 1)
  counts = jnp.full(T, 11).at[3].set(10)
  np.testing.assert_allclose(time_sampling.probabilities(time_sampling.History(squares, counts)), 1 / T)
  p = np.asarray(time_sampling.probabilities(time_sampling.History(squares, counts.at[3].set(11))))
  weights = np.sqrt(np.arange(1.0, T + 1) + 1e-10) + 1e-4
  weights[0] = weights[1]
  np.testing.assert_allclose(p, weights / weights.sum(), rtol=1e-6)


def test_draws_have_the_probabilities_and_strata_are_even():
  p = jnp.array([0.1, 0.2, 0.3, 0.4])
  u = (jnp.arange(1000) + 0.5) / 1000
  counts = np.bincount(np.asarray(time_sampling.draw(u, p)) - 1, minlength=4)
  np.testing.assert_allclose(counts, [100, 200, 300, 400], atol=1)
  counts = np.bincount(np.asarray(time_sampling.draw_uniform(u, 4)) - 1, minlength=4)
  np.testing.assert_array_equal(counts, [250] * 4)
  edges = jnp.array([0.0, 1 - 2**-24])
  assert time_sampling.draw_uniform(edges, 1000).tolist() == [1, 1000]
  assert time_sampling.draw(edges, p).tolist() == [1, 4]
  assert jax.jit(time_sampling.draw)(edges, p).tolist() == [1, 4]
