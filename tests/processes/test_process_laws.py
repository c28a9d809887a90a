"""What corruption processes are indifferent to, and their limits: nothing kept, all kept, one step, two classes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.keys import example_keys
from catgen.processes import PROCESSES, SCHEDULES
from catgen.processes.levels import Level, Span
from catgen.processes.schedules import continuous_level, levels, spans
from tests.processes.test_processes import SPECIAL, kernel, pairs

K = 4
made = functools.cache(lambda name, num_classes=K: PROCESSES[name].make(num_classes))


@functools.cache
def compiled(name, function, num_classes=K):
  return jax.jit(getattr(made(name, num_classes), function))


def level(*keep):
  keep = np.asarray(keep, np.float64)
  return Level(np.asarray(keep, np.float32), np.asarray(1 - keep, np.float32))


def span(s, t):
  """Returns the move between two alpha_bars, of every example."""
  kept = np.array([1.0, s, t])
  one = spans(Level(kept, 1 - kept), np.array([1, 2]))
  return Span(*(Level(*(jnp.asarray(part[0]) for part in each)) for each in one))


def log_predictions(rows, num_classes=K, seed=0):
  logits = np.random.default_rng(seed).normal(size=(rows, num_classes))
  return jnp.asarray(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True), jnp.float32)


def states(x):
  return jnp.asarray(np.asarray(x, np.int32))


@pytest.mark.parametrize("name", SPECIAL)
def test_renaming_the_categories_renames_all_laws(name):
  process, names = made(name), np.random.default_rng(1).permutation(K)
  all_names = np.append(names, K)  # a mask keeps its name
  x_t, x = pairs(process.num_states, K)
  log_x0, move = log_predictions(len(x)), span(0.7, 0.4)
  renamed = jnp.asarray(np.asarray(log_x0)[:, np.argsort(names)])
  new_t, new = jnp.asarray(all_names[np.asarray(x_t)]), jnp.asarray(names[np.asarray(x)])
  order = np.argsort(all_names[: process.num_states])
  for function, told, told_new in (
    ("posterior", (x_t, x, move), (new_t, new, move)),
    ("predictive", (x_t, log_x0, move), (new_t, renamed, move)),
  ):
    found, expected = (compiled(name, function)(*each) for each in (told_new, told))
    np.testing.assert_allclose(np.exp(found), np.exp(expected)[:, order], atol=1e-6)
  found, expected = (compiled(name, "kl")(*each) for each in ((new_t, new, renamed, move), (x_t, x, log_x0, move)))
  np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", SPECIAL)
def test_one_step_over_all_noise_leaves_the_prediction(name):
  """T = 1: p(x_0 | x_1) is the prediction itself, and its loss the negative logarithm of it."""
  num_classes = 2
  process = made(name, num_classes)
  x = np.arange(num_classes, dtype=np.int32)
  x_t = np.full_like(x, process.num_states - 1)
  log_x0, move = log_predictions(num_classes, num_classes), span(1.0, 0.0)
  found = compiled(name, "predictive", num_classes)(x_t, log_x0, move)
  np.testing.assert_allclose(np.exp(found)[:, :num_classes], np.exp(log_x0), atol=1e-6)
  loss = compiled(name, "kl", num_classes)(x_t, x, log_x0, move)
  np.testing.assert_allclose(loss, -np.diag(log_x0), rtol=1e-5, atol=1e-6)
  before = np.exp(compiled(name, "posterior", num_classes)(x_t, x, move))
  np.testing.assert_allclose(before[:, :num_classes], np.eye(num_classes), atol=1e-6)


@pytest.mark.parametrize("name", SPECIAL)
def test_each_example_is_corrupted_at_its_own_level_with_its_own_key(name):
  x, keys = states(np.ones((4, 3000))), jax.jit(example_keys)(jax.random.key(2), np.arange(4))
  drawn = np.asarray(compiled(name, "corrupt")(keys, x, level(0.9, 0.5, 0.1, 0.5)))
  kept = np.array([0.9, 0.5, 0.1, 0.5])
  expected = kept + (1 - kept) / K * (name == "uniform")
  np.testing.assert_allclose((drawn == 1).mean(axis=1), expected, atol=4.5 * 0.5 / np.sqrt(3000))
  assert np.any(drawn[1] != drawn[3])


@pytest.mark.parametrize("name", SPECIAL)
def test_losses_of_all_moves_add_up_to_no_less_than_the_entropy_and_for_masks_to_the_code_length(name):
  """Of a prediction of the data's own frequencies, by enumeration of the states at the end of every move."""
  num_states = made(name).num_states
  frequencies = np.array([0.4, 0.3, 0.2, 0.1])
  log_x0 = np.broadcast_to(np.log(frequencies).astype(np.float32), (num_states, K))
  kl, states_of_move = compiled(name, "kl"), np.arange(num_states, dtype=np.int32)
  total = np.zeros(K)
  for x in range(K):
    for s, t in ((1.0, 0.8), (0.8, 0.3), (0.3, 0.0)):
      law = kernel(name, t, K)[x]
      loss = np.asarray(kl(states_of_move, np.full_like(states_of_move, x), log_x0, span(s, t)), np.float64)
      total[x] += (law * np.where(law > 0, loss, 0.0)).sum()
  if name == "absorbing":  # a mask says nothing, so that nothing but the frequencies is ever paid
    np.testing.assert_allclose(total, -np.log(frequencies), rtol=1e-5)
  assert frequencies @ total > -(frequencies * np.log(frequencies)).sum() - 1e-6


def test_a_uniform_prior_costs_nothing_to_log_k():
  prior_kl, x = compiled("uniform", "prior_kl"), np.zeros((5, 1), np.int32)
  keep = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
  q = np.full((5, K), (1 - keep)[:, None] / K)
  q[:, 0] += keep
  expected = (q * np.log(np.where(q > 0, K * q, 1.0))).sum(axis=1)
  np.testing.assert_allclose(np.asarray(prior_kl(x, level(*keep)))[:, 0], expected, rtol=1e-4, atol=1e-7)
  assert expected[-1] == np.log(K)


def test_a_mask_stays_a_mask_and_tells_nothing_apart():
  masked = np.full((1, 3), K, np.int32)
  found = np.exp(compiled("absorbing", "marginal")(masked, level(0.6)))
  np.testing.assert_array_equal(found, np.broadcast_to(np.eye(K + 1)[K], (1, 3, K + 1)))


def test_visible_positions_of_masked_diffusion_lose_nothing_and_stay():
  x_t = x = np.arange(K, dtype=np.int32)
  log_x0 = log_predictions(K)
  np.testing.assert_array_equal(compiled("absorbing", "kl")(x_t, x, log_x0, span(0.8, 0.1)), 0.0)
  found = np.exp(compiled("absorbing", "predictive")(x_t, log_x0, span(0.8, 0.1)))
  np.testing.assert_array_equal(found, np.eye(K + 1)[:K])


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_moves_of_any_length_multiply_up_to_the_table(name):
  table, times = SCHEDULES[name].make().table(40), np.array([0, 1, 2, 11, 30, 39, 40])
  moves = spans(table, times)
  kept = table.keep
  np.testing.assert_allclose(np.cumprod(moves.step.keep.astype(np.float64)), kept[times[1:]], rtol=1e-6, atol=1e-9)
  np.testing.assert_allclose(moves.s.keep, kept[times[:-1]].astype(np.float32))
  for pair in (*moves, levels(table)):
    np.testing.assert_allclose(pair.keep.astype(np.float64) + pair.lost, 1.0, rtol=1e-6)
  lost = 1 - kept[1]
  np.testing.assert_allclose(moves.t.lost[0], lost, rtol=1e-6)  # what little the first step loses keeps its digits


def test_alpha_bar_ends_at_zero_exactly_where_a_schedule_says_so():
  for name, kind in SCHEDULES.items():
    schedule = kind.make()
    last = levels(schedule.table(7))
    assert (last.keep[-1] == 0.0) == schedule.ends_at_zero, name
    assert (last.lost[-1] == 1.0) or not schedule.ends_at_zero
    assert last.keep[0] == 1.0
    assert last.lost[0] == 0.0


@pytest.mark.parametrize("power", [1.0, 2.0, 3.5])
def test_polynomials_keep_what_their_formula_says(power):
  schedule = SCHEDULES["polynomial"](power=power)()
  times = np.linspace(0, 1, 11)
  np.testing.assert_allclose(schedule.table(10).keep, 1 - times**power, rtol=1e-12, atol=1e-15)
  at, slope = jax.jit(lambda t: continuous_level(schedule, t))(times[1:].astype(np.float32))
  np.testing.assert_allclose(slope, power * times[1:] ** (power - 1), rtol=1e-5)
  np.testing.assert_allclose(at.lost, times[1:] ** power, rtol=1e-5)
