"""The recurrence of long short-term memory: gates in the order input, forget, cell, output.

Reference: Hochreiter and Schmidhuber (1997), with the forget gate of Gers et al. (2000).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from catgen.meshes import gathered, spread


class Carry(NamedTuple):
  """What an LSTM layer remembers."""

  hidden: Float[Array, "batch width"]
  cell: Float[Array, "batch width"]


def recur(
  kernel: Float[Array, "width gates"],
  driven: Float[Array, "batch length gates"],
  start: Carry | None = None,
  *,
  reverse: bool = False,
  dtype: np.dtype | type = jnp.float32,
) -> Float[Array, "batch length width"]:
  """Returns the hidden states given what the inputs put into the gates.

  Args:
    kernel: from the hidden state before to the gates.
    driven: what the inputs add.
    start: the state before the first position; None = zeros.
    reverse: from the last position to the first.
    dtype: of the factors of products, which are summed in float32; states and gates are float32.

  The loop has the batch as its last axis, and the gradient of `kernel` is one product over all positions:
  differentiating the loop would add to a matrix of the kernel's size at every position. Both matter where memory bounds
  the product. There is no forward-mode derivative (`jax.jvp`, `jax.jacfwd`).
  """
  if start is None:
    zeros = jnp.zeros((driven.shape[0], kernel.shape[0]), driven.dtype)
    start = Carry(zeros, zeros)
  return spread(_recur(reverse, jnp.dtype(dtype), gathered(kernel), spread(driven), start))


def recur_plainly(
  kernel: Float[Array, "width gates"],
  driven: Float[Array, "batch length gates"],
  start: Carry | None = None,
  *,
  reverse: bool = False,
) -> Float[Array, "batch length width"]:
  """Returns what `recur` returns, as a loop that is differentiated: the plain form that the other is tested against."""

  def step(carry: Carry, gates: Array) -> tuple[Carry, Array]:
    enter, forget, candidate, leave = jnp.split(gates + carry.hidden @ kernel, 4, axis=1)
    cell = jax.nn.sigmoid(forget) * carry.cell + jax.nn.sigmoid(enter) * jnp.tanh(candidate)
    hidden = jax.nn.sigmoid(leave) * jnp.tanh(cell)
    return Carry(hidden, cell), hidden

  zeros = jnp.zeros((driven.shape[0], kernel.shape[0]), driven.dtype)
  start = Carry(zeros, zeros) if start is None else start
  return jax.lax.scan(step, start, driven.swapaxes(0, 1), reverse=reverse)[1].swapaxes(0, 1)


def advance(
  kernel: Float[Array, "width gates"],
  carry: Carry,
  driven: Float[Array, "batch gates"],
  dtype: np.dtype | type = jnp.float32,
) -> Carry:
  """Returns the state after one more position; see `recur`."""
  gates = driven + _product(carry.hidden, gathered(kernel), jnp.dtype(dtype))
  return _update(carry.cell, spread(_activate(gates, axis=1)), axis=1)


def _product(left: Array, right: Array, dtype: np.dtype) -> Array:
  return jnp.matmul(left.astype(dtype), right.astype(dtype), preferred_element_type=jnp.float32)


def _activate(gates: Array, axis: int) -> Array:
  """Returns tanh of all gates in one pass, of halves where a sigmoid is meant: sigmoid(x) = 0.5 + 0.5 tanh(x / 2)."""
  return jnp.tanh(gates * _slopes(gates, axis))


def _slopes(gates: Array, axis: int) -> Array:
  shape = [1] * gates.ndim
  shape[axis] = gates.shape[axis]
  return jnp.repeat(jnp.array([0.5, 0.5, 1.0, 0.5], gates.dtype), gates.shape[axis] // 4).reshape(shape)


def _update(cell: Array, activated: Array, axis: int) -> Carry:
  """Returns the next state from the cell before and what `_activate` returned."""
  enter, forget, candidate, leave = jnp.split(activated, 4, axis=axis)
  cell = (0.5 + 0.5 * forget) * cell + (0.5 + 0.5 * enter) * candidate
  return Carry((0.5 + 0.5 * leave) * jnp.tanh(cell), cell)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _recur(
  reverse: bool,
  dtype: np.dtype,
  kernel: Float[Array, "width gates"],
  driven: Float[Array, "batch length gates"],
  start: Carry,
) -> Float[Array, "batch length width"]:
  return _run(reverse, dtype, kernel, driven, start)[0]


def _run(
  reverse: bool, dtype: np.dtype, kernel: Array, driven: Array, start: Carry
) -> tuple[Array, tuple[Array, Array]]:
  """Returns the hidden states, and the cells and activated gates of every position, [length, features, batch]."""
  transposed, first = kernel.T, Carry(start.hidden.T, start.cell.T)

  def step(carry: Carry, inputs: Array) -> tuple[Carry, tuple[Array, tuple[Array, Array]]]:
    activated = spread(_activate(inputs + _product(transposed, carry.hidden, dtype), axis=0), axis=1)
    carry = _update(carry.cell, activated, axis=0)
    return carry, (carry.hidden, (carry.cell, activated))

  hidden, kept = jax.lax.scan(step, first, driven.transpose(1, 2, 0), reverse=reverse)[1]
  return hidden.transpose(2, 0, 1), kept


def _recur_forward(
  reverse: bool, dtype: np.dtype, kernel: Array, driven: Array, start: Carry
) -> tuple[Array, tuple[Any, ...]]:
  hidden, (cell, activated) = _run(reverse, dtype, kernel, driven, start)
  return hidden, (kernel, hidden, cell, activated, start)


def _recur_backward(reverse: bool, dtype: np.dtype, kept: tuple[Any, ...], change: Array) -> tuple[Array, Array, Carry]:
  kernel, hidden, cell, activated, start = kept

  def step(later: Carry, position: tuple[Array, ...]) -> tuple[Carry, Array]:
    change, cell_before, activated = position
    _, pull = jax.vjp(partial(_update, axis=0), cell_before, activated)
    d_cell, d_activated = pull(Carry(change + later.hidden, later.cell))
    d_gates = d_activated * (1.0 - activated**2) * _slopes(activated, axis=0)
    return spread(Carry(_product(kernel, d_gates, dtype), d_cell), axis=1), d_gates

  zeros = jnp.zeros_like(start.cell.T)
  positions = (change.transpose(1, 2, 0), _delayed(cell, start.cell.T, reverse, axis=0), activated)
  d_start, d_gates = jax.lax.scan(step, Carry(zeros, zeros), positions, reverse=not reverse)
  d_gates = d_gates.transpose(2, 0, 1)
  before = _delayed(hidden, start.hidden, reverse, axis=1)
  rows, slopes = (each.reshape(-1, each.shape[2]) for each in (before, d_gates))
  return _product(rows.T, slopes, dtype), d_gates, Carry(d_start.hidden.T, d_start.cell.T)


def _delayed(states: Array, start: Array, reverse: bool, axis: int) -> Array:
  """Returns the states that each position along an axis started from, `start` at the first."""
  length, first = states.shape[axis], jnp.expand_dims(start, axis)
  if reverse:
    return jnp.concatenate([jax.lax.slice_in_dim(states, 1, length, axis=axis), first], axis=axis)
  return jnp.concatenate([first, jax.lax.slice_in_dim(states, 0, length - 1, axis=axis)], axis=axis)


_recur.defvjp(_recur_forward, _recur_backward)
