"""Histories of losses by time step: unbiased weights, forgetting in closed form, whom a batch counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.processes import time_sampling
from catgen.processes.time_sampling import History

probabilities, update, draw = (jax.jit(getattr(time_sampling, name)) for name in ("probabilities", "update", "draw"))


def full(squares, counts=11):
  squares = np.asarray(squares, np.float32)
  return History(jnp.asarray(squares), jnp.asarray(np.full(len(squares), counts, np.int32)))


@pytest.mark.parametrize("num_steps", [1, 50])
def test_probabilities_sum_to_one_and_leave_no_step_out(num_steps):
  losses = np.random.default_rng(0).exponential(size=num_steps) ** 2
  losses[0] = 0.0
  for history in (full(losses), full(losses, 10), full(np.zeros(num_steps)), time_sampling.init(num_steps)):
    p = np.asarray(probabilities(history), np.float64)
    np.testing.assert_allclose(p.sum(), 1.0, rtol=1e-5)
    assert p.min() > 0


def test_steps_that_lose_alike_are_drawn_alike():
  np.testing.assert_allclose(probabilities(full([2.5] * 7)), 1 / 7, rtol=1e-6)


def test_twice_the_loss_is_drawn_twice_as_often():
  p = np.asarray(probabilities(full([1.0, 100.0, 400.0])))
  np.testing.assert_allclose(p[2] / p[1], 2.0, rtol=1e-4)


def test_losses_over_probabilities_have_the_sum_of_losses_as_their_mean():
  losses = np.array([3.0, 1.0, 0.2, 5.0])
  p = probabilities(full(losses**2))
  uniforms = (np.arange(20_000) + 0.5) / 20_000
  t = np.asarray(draw(jnp.asarray(uniforms, jnp.float32), p))
  np.testing.assert_allclose((losses[t - 1] / np.asarray(p)[t - 1]).mean(), losses.sum(), rtol=1e-3)


@pytest.mark.parametrize("num_steps", [1, 1000])
def test_uniform_steps_come_in_order_of_their_numbers_each_as_often(num_steps):
  uniforms = np.sort(np.random.default_rng(1).random(3 * num_steps))
  draw_uniform = jax.jit(time_sampling.draw_uniform, static_argnums=1)
  t = np.asarray(draw_uniform(jnp.asarray(uniforms, jnp.float32), num_steps))
  assert np.all(np.diff(t) >= 0)
  np.testing.assert_array_equal(t, np.floor(uniforms.astype(np.float32) * np.float32(num_steps)) + 1)
  even = (np.arange(num_steps) + 0.5) / num_steps
  found = draw_uniform(jnp.asarray(even, jnp.float32), num_steps)
  np.testing.assert_array_equal(found, np.arange(1, num_steps + 1))


def test_a_loss_that_comes_again_and_again_is_approached_in_closed_form():
  """After n updates with loss L the average of squares is (1 - 0.9^n) L^2; a step that is not seen stays."""
  history = time_sampling.init(3)
  valid = np.ones(2, bool)
  for _ in range(12):
    history = update(history, jnp.array([2, 2]), jnp.array([3.0, 3.0]), valid)
  np.testing.assert_allclose(history.squares, [0.0, (1 - 0.9**12) * 9.0, 0.0], rtol=1e-5)
  assert history.counts.tolist() == [0, 24, 0]
  unseen = update(history, jnp.array([1, 3]), jnp.array([1.0, 1.0]), np.zeros(2, bool))
  np.testing.assert_array_equal(unseen.squares, history.squares)
  np.testing.assert_array_equal(unseen.counts, history.counts)


def test_the_history_after_a_batch_is_that_of_its_examples_in_any_order():
  rng = np.random.default_rng(2)
  t, losses, valid = rng.integers(1, 5, 40), rng.exponential(size=40), rng.random(40) < 0.7
  before = full([1.0, 2.0, 3.0, 4.0])
  order = rng.permutation(40)
  found, other = (
    update(before, *(jnp.asarray(each[o]) for each in (t, losses.astype(np.float32), valid)))
    for o in (np.arange(40), order)
  )
  np.testing.assert_allclose(found.squares, other.squares, rtol=1e-6)
  expected = [
    0.9 * square + 0.1 * (losses[(t == step) & valid] ** 2).mean()
    for step, square in enumerate([1.0, 2.0, 3.0, 4.0], 1)
  ]
  np.testing.assert_allclose(found.squares, expected, rtol=1e-5)
  np.testing.assert_array_equal(found.counts - 11, [((t == step) & valid).sum() for step in range(1, 5)])
