"""An LSTM layer against its equations in float64, and its written-out gradient against finite differences of them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.kernels.recurrence import recur, recur_plainly
from catgen.networks.parts.lstm import LSTMLayer
from catgen.training.dry_run import flops_by_dtype
from tests.parameters import filled

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


_GRAPH, _SHAPES = nnx.split(nnx.eval_shape(lambda: LSTMLayer(_INPUTS, _WIDTH, rngs=nnx.Rngs(0))))
_STATE = filled(_SHAPES)
_X = np.random.default_rng(1).normal(size=(_BATCH, _LENGTH, _INPUTS)).astype(np.float32)
_WEIGHT = np.random.default_rng(0).normal(size=(_BATCH, _LENGTH, _WIDTH)).astype(np.float32)


@functools.cache
def _calculated(reverse: bool) -> Any:
  """Returns the states of the layer, and the gradient of their weighted sum by its parameters and by x."""

  def loss(state: nnx.State, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    states = nnx.merge(_GRAPH, state)(x, reverse=reverse)
    return (states * _WEIGHT).sum(), states

  gradient, states = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(_STATE, _X)
  return states, jax.tree.map(np.asarray, gradient)


def _float64() -> dict[str, np.ndarray]:
  return {name: np.asarray(value, np.float64) for name, value in nnx.to_pure_dict(_STATE).items()}


@pytest.mark.parametrize("reverse", [False, True])
def test_states_follow_the_equations(reverse: bool) -> None:
  expected = _reference(_float64(), _X.astype(np.float64), reverse)
  np.testing.assert_allclose(_calculated(reverse)[0], expected, atol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradient_is_that_of_the_equations(reverse: bool) -> None:
  by_state, by_x = _calculated(reverse)[1]
  computed = {**nnx.to_pure_dict(by_state), "x": by_x}
  arguments = {**_float64(), "x": _X.astype(np.float64)}
  for name, value in arguments.items():
    for index in np.ndindex(value.shape):
      ends = []
      for change in (1e-6, -1e-6):
        moved = {**arguments, name: value.copy()}
        moved[name][index] += change
        ends.append((_reference(moved, moved["x"], reverse) * _WEIGHT).sum())
      np.testing.assert_allclose(computed[name][index], (ends[0] - ends[1]) / 2e-6, atol=3e-5, rtol=1e-4)


def test_one_position_at_a_time_gives_the_same() -> None:
  @jax.jit
  def one_by_one(state: nnx.State, x: jax.Array) -> jax.Array:
    layer = nnx.merge(_GRAPH, state)
    _, states = jax.lax.scan(layer.step, layer.init_carry(_BATCH), x.swapaxes(0, 1))
    return states.swapaxes(0, 1)

  np.testing.assert_allclose(one_by_one(_STATE, _X), _calculated(False)[0], atol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_recurrence_and_its_gradient_are_those_of_the_plain_form(reverse: bool) -> None:
  random = np.random.default_rng(2)
  kernel = random.normal(size=(_WIDTH, 4 * _WIDTH)).astype(np.float32)
  driven = random.normal(size=(_BATCH, _LENGTH, 4 * _WIDTH)).astype(np.float32)
  ours, plain = (
    jax.jit(jax.value_and_grad(lambda *x, form=form: jnp.sum(_WEIGHT * form(*x, reverse=reverse)), argnums=(0, 1)))(
      kernel, driven
    )
    for form in (recur, recur_plainly)
  )
  np.testing.assert_allclose(ours[0], plain[0], rtol=1e-5)
  for one, other in zip(ours[1], plain[1], strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_all_products_have_factors_of_the_dtype_and_states_are_float32(dtype: str) -> None:
  kernel, driven = jnp.ones((_WIDTH, 4 * _WIDTH)), jnp.ones((_BATCH, _LENGTH, 4 * _WIDTH))

  def both(kernel: Any, driven: Any) -> Any:
    states, pull = jax.vjp(lambda *told: recur(*told, dtype=jnp.dtype(dtype)), kernel, driven)
    return states, *pull(states)

  traced = jax.make_jaxpr(both)(kernel, driven)
  assert set(flops_by_dtype(traced)) == {dtype}
  assert {value.dtype.name for value in traced.out_avals} == {"float32"}
