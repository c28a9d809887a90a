"""An LSTM layer against its equations in float64, and its written-out gradient against finite differences of them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.kernels.recurrence import Carry, recur, recur_plainly
from catgen.networks.parts.lstm import LSTMLayer
from catgen.training.dry_run import flops_by_dtype
from tests.parameters import filled

_BATCH, _LENGTH, _INPUTS, _WIDTH = 2, 5, 3, 4


def _sigmoid(x: np.ndarray) -> np.ndarray:
  return 1 / (1 + np.exp(-x))


def _reference(parameters: dict[str, np.ndarray], x: np.ndarray, reverse: bool) -> np.ndarray:
  """Returns the hidden states, by the equations of Hochreiter and Schmidhuber with a forget gate.

  Where parameters have them, it starts from a state, and the position itself adds to the gates.
  """
  hidden, cell = (parameters.get(name, np.zeros((x.shape[0], _WIDTH))) for name in ("hidden", "cell"))
  code = parameters.get("code", np.zeros((x.shape[1], 4 * _WIDTH)))
  states = np.zeros((*x.shape[:2], _WIDTH))
  positions = range(x.shape[1])
  for position in reversed(positions) if reverse else positions:
    gates = x[:, position] @ parameters["input_kernel"] + hidden @ parameters["recurrent_kernel"] + parameters["bias"]
    gates = gates + code[position]
    enter, forget, candidate, leave = np.split(gates, 4, axis=-1)
    cell = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(candidate)
    hidden = _sigmoid(leave) * np.tanh(cell)
    states[:, position] = hidden
  return states


_GRAPH, _SHAPES = nnx.split(nnx.eval_shape(lambda: LSTMLayer(_INPUTS, _WIDTH, rngs=nnx.Rngs(0))))
_STATE = filled(_SHAPES)
_X = np.random.default_rng(1).normal(size=(_BATCH, _LENGTH, _INPUTS)).astype(np.float32)
_GIVEN = {
  name: np.random.default_rng(2).normal(size=shape).astype(np.float32)
  for name, shape in (("hidden", (_BATCH, _WIDTH)), ("cell", (_BATCH, _WIDTH)), ("code", (_LENGTH, 4 * _WIDTH)))
}
_WEIGHT = np.random.default_rng(0).normal(size=(_BATCH, _LENGTH, _WIDTH)).astype(np.float32)


@functools.cache
def _calculated(reverse: bool) -> Any:
  """Returns the states of the layer, and the gradient of their weighted sum by all that it is given."""

  def loss(state: nnx.State, x: jax.Array, given: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    start = Carry(given["hidden"], given["cell"])
    states = nnx.merge(_GRAPH, state)(x, start, code=given["code"], reverse=reverse)
    return (states * _WEIGHT).sum(), states

  gradient, states = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(_STATE, _X, _GIVEN)
  return states, jax.tree.map(np.asarray, gradient)


def _float64() -> dict[str, np.ndarray]:
  return {name: np.asarray(value, np.float64) for name, value in {**nnx.to_pure_dict(_STATE), **_GIVEN}.items()}


@pytest.mark.parametrize("reverse", [False, True])
def test_states_follow_the_equations(reverse: bool) -> None:
  expected = _reference(_float64(), _X.astype(np.float64), reverse)
  np.testing.assert_allclose(_calculated(reverse)[0], expected, atol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradient_is_that_of_the_equations(reverse: bool) -> None:
  by_state, by_x, by_given = _calculated(reverse)[1]
  computed = {**nnx.to_pure_dict(by_state), "x": by_x, **by_given}
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
  def one_by_one(state: nnx.State, x: jax.Array, given: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    layer = nnx.merge(_GRAPH, state)
    start, inputs = Carry(given["hidden"], given["cell"]), (x.swapaxes(0, 1), given["code"])
    told = jax.lax.scan(lambda carry, each: layer.step(carry, *each), start, inputs)[1]
    plain = jax.lax.scan(layer.step, layer.init_carry(_BATCH), inputs[0])[1]
    return told.swapaxes(0, 1), plain.swapaxes(0, 1)

  told, plain = one_by_one(_STATE, _X, _GIVEN)
  np.testing.assert_allclose(told, _calculated(False)[0], atol=1e-6)
  alone = {name: value for name, value in _float64().items() if name not in _GIVEN}
  np.testing.assert_allclose(plain, _reference(alone, _X.astype(np.float64), False), atol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_recurrence_and_its_gradient_are_those_of_the_plain_form(reverse: bool) -> None:
  random = np.random.default_rng(2)
  kernel = random.normal(size=(_WIDTH, 4 * _WIDTH)).astype(np.float32)
  driven = random.normal(size=(_BATCH, _LENGTH, 4 * _WIDTH)).astype(np.float32)
  start = Carry(*(random.normal(size=(_BATCH, _WIDTH)).astype(np.float32) for _ in range(2)))

  def calculated(form: Any) -> Any:
    def total(*given: Any) -> jax.Array:
      return jnp.sum(_WEIGHT * form(*given, reverse=reverse))

    return jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2)))(kernel, driven, start)

  ours, plain = calculated(recur), calculated(recur_plainly)
  np.testing.assert_allclose(ours[0], plain[0], rtol=1e-5)
  for one, other in zip(jax.tree.leaves(ours[1]), jax.tree.leaves(plain[1]), strict=True):
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
