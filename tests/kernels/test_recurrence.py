"""An LSTM layer against its equations in float64, and its written-out gradient against finite differences of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.kernels.recurrence import recur, recur_plainly
from catgen.networks.parts.lstm import LSTMLayer

_BATCH, _LENGTH, _INPUTS, _WIDTH = 2, 5, 3, 4


def _sigmoid(x: np.ndarray) -> np.ndarray:
  return 1 / (1 + np.exp(-x))


def _reference(parameters: dict[str, np.ndarray], x: np.ndarray, reverse: bool) -> np.ndarray:
  """Returns the hidden states, by the equations of Hochreiter and Schmidhuber with a forget gate."""
  hidden = cell = np.zeros((x.shape[0], _WIDTH))
  states = np.zeros((*x.shape[:2], _WIDTH))
  positions = range(x.shape[1])
  for position in reversed(positions) if reverse else positions:
    gates = x[:, position] @ parameters["input_kernel"] + hidden @ parameters["recurrent_kernel"] + parameters["bias"]
    enter, forget, candidate, leave = np.split(gates, 4, axis=-1)
    cell = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(candidate)
    hidden = _sigmoid(leave) * np.tanh(cell)
    states[:, position] = hidden
  return states


@pytest.fixture
def layer() -> LSTMLayer:
  return LSTMLayer(_INPUTS, _WIDTH, rngs=nnx.Rngs(0))


@pytest.fixture
def x() -> jax.Array:
  return jax.random.normal(jax.random.key(1), (_BATCH, _LENGTH, _INPUTS))


def _float64(layer: LSTMLayer) -> dict[str, np.ndarray]:
  return {name: np.asarray(value, np.float64) for name, value in nnx.to_pure_dict(nnx.state(layer)).items()}


@pytest.mark.parametrize("reverse", [False, True])
def test_states_follow_the_equations(layer: LSTMLayer, x: jax.Array, reverse: bool) -> None:
  expected = _reference(_float64(layer), np.asarray(x, np.float64), reverse)
  np.testing.assert_allclose(layer(x, reverse=reverse), expected, atol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradient_is_that_of_the_equations(layer: LSTMLayer, x: jax.Array, reverse: bool) -> None:
  weight = np.random.default_rng(0).normal(size=(_BATCH, _LENGTH, _WIDTH))
  graph, state = nnx.split(layer)

  def loss(state: nnx.State, x: jax.Array) -> jax.Array:
    return (nnx.merge(graph, state)(x, reverse=reverse) * jnp.asarray(weight, jnp.float32)).sum()

  by_state, by_x = jax.grad(loss, argnums=(0, 1))(state, x)
  computed = {**nnx.to_pure_dict(by_state), "x": by_x}
  arguments = {**_float64(layer), "x": np.asarray(x, np.float64)}
  for name, value in arguments.items():
    for index in np.ndindex(value.shape):
      ends = []
      for change in (1e-6, -1e-6):
        moved = {**arguments, name: value.copy()}
        moved[name][index] += change
        ends.append((_reference(moved, moved["x"], reverse) * weight).sum())
      np.testing.assert_allclose(computed[name][index], (ends[0] - ends[1]) / 2e-6, atol=3e-5, rtol=1e-4)


def test_one_position_at_a_time_gives_the_same(layer: LSTMLayer, x: jax.Array) -> None:
  carry, states = layer.init_carry(_BATCH), []
  for position in range(_LENGTH):
    carry, hidden = layer.step(carry, x[:, position])
    states.append(hidden)
  np.testing.assert_allclose(jnp.stack(states, axis=1), layer(x), atol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_recurrence_and_its_gradient_are_those_of_the_plain_form(reverse: bool) -> None:
  kernel = jax.random.normal(jax.random.key(0), (_WIDTH, 4 * _WIDTH))
  driven = jax.random.normal(jax.random.key(1), (_BATCH, _LENGTH, 4 * _WIDTH))
  weight = jax.random.normal(jax.random.key(2), (_BATCH, _LENGTH, _WIDTH))
  ours, plain = (
    jax.value_and_grad(lambda *x, form=form: jnp.sum(weight * form(*x, reverse=reverse)), argnums=(0, 1))(
      kernel, driven
    )
    for form in (recur, recur_plainly)
  )
  np.testing.assert_allclose(ours[0], plain[0], rtol=1e-5)
  for one, other in zip(ours[1], plain[1], strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
