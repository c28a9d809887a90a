"""The recurrence where its answer is known without a loop, and what it does not depend on."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from catgen.kernels.recurrence import Carry, advance, recur

BATCH, LENGTH, WIDTH = 3, 5, 2
RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(WIDTH, 4 * WIDTH)).astype(np.float32)
DRIVEN = RNG.normal(size=(BATCH, LENGTH, 4 * WIDTH)).astype(np.float32)


@functools.cache
def compiled(reverse=False):
  return jax.jit(functools.partial(recur, reverse=reverse))


def states(kernel=KERNEL, driven=DRIVEN, reverse=False):
  return np.asarray(compiled(reverse)(jnp.asarray(kernel), jnp.asarray(driven)))


def gates(*each):
  """Returns what is driven into the gates, in the order input, forget, cell, output."""
  shape = (BATCH, LENGTH, WIDTH)
  return np.concatenate([np.broadcast_to(np.asarray(gate, np.float32), shape) for gate in each], axis=-1)


def test_with_all_gates_open_a_cell_adds_up_its_candidates():
  candidates = RNG.normal(size=(BATCH, LENGTH, WIDTH))
  found = states(0 * KERNEL, gates(30.0, 30.0, candidates, 30.0))
  np.testing.assert_allclose(found, np.tanh(np.cumsum(np.tanh(candidates), axis=1)), rtol=1e-5, atol=1e-6)


def test_with_the_forget_gate_shut_nothing_is_remembered():
  driven = RNG.normal(size=(BATCH, LENGTH, 4 * WIDTH))
  driven[..., WIDTH : 2 * WIDTH] = -40.0
  enter, _, candidate, leave = np.split(driven, 4, axis=-1)
  expected = scipy.special.expit(leave) * np.tanh(scipy.special.expit(enter) * np.tanh(candidate))
  np.testing.assert_allclose(states(0 * KERNEL, driven.astype(np.float32)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("enter", "leave"), [(-40.0, 30.0), (30.0, -40.0)])
def test_what_may_not_enter_or_may_not_leave_is_not_seen(enter, leave):
  np.testing.assert_allclose(states(KERNEL, gates(enter, 0.0, 2.0, leave)), 0.0, atol=1e-6)


def test_backwards_is_forwards_on_the_turned_sequence():
  np.testing.assert_allclose(states(reverse=True), states(driven=DRIVEN[:, ::-1])[:, ::-1], rtol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_state_depends_on_its_own_example_and_on_what_came_before(reverse):
  changed = DRIVEN.copy()
  changed[1, 3] += 1.0
  moved = np.abs(states(driven=changed, reverse=reverse) - states(reverse=reverse)).max(axis=-1) > 1e-6
  expected = np.zeros((BATCH, LENGTH), bool)
  expected[1, slice(4) if reverse else slice(3, None)] = True
  np.testing.assert_array_equal(moved, expected)


def test_a_sequence_goes_on_from_the_state_in_which_a_shorter_one_ended():
  carry = Carry(jnp.zeros((BATCH, WIDTH)), jnp.zeros((BATCH, WIDTH)))
  step, hidden = jax.jit(advance), []
  for position in range(LENGTH):
    carry = step(jnp.asarray(KERNEL), carry, jnp.asarray(DRIVEN[:, position]))
    hidden.append(np.asarray(carry.hidden))
  np.testing.assert_allclose(np.stack(hidden, axis=1), states(), rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(states(driven=DRIVEN[:, :2]), states()[:, :2], rtol=1e-6)


def test_hidden_states_stay_within_one_and_gates_of_a_hundred_are_finite():
  found = states(100 * KERNEL, 100 * DRIVEN)
  assert np.all(np.isfinite(found))
  assert np.abs(found).max() <= 1.0


def test_the_gradient_of_a_sum_of_examples_is_the_sum_of_their_gradients():
  weight = jnp.asarray(RNG.normal(size=(LENGTH, WIDTH)), jnp.float32)
  slope = jax.jit(jax.grad(lambda k, d: (recur(k, d) * weight[None]).sum(), argnums=(0, 1)))
  by_kernel, by_driven = slope(KERNEL, DRIVEN)
  alone = [slope(KERNEL, np.stack([row] * BATCH)) for row in DRIVEN]
  np.testing.assert_allclose(by_kernel, sum(each[0] for each in alone) / BATCH, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(by_driven, np.stack([each[1][0] for each in alone]), rtol=1e-4, atol=1e-6)
