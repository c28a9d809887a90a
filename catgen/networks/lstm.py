"""Long short-term memory over sequences, whole or one position at a time."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class Carry(NamedTuple):
  """What an LSTM layer remembers."""

  hidden: Float[Array, "batch width"]
  cell: Float[Array, "batch width"]


class LSTM(nnx.Module):
  """One layer in one direction (Hochreiter and Schmidhuber, 1997), gates in the order input, forget, cell, output.

  Initialization is PyTorch's, uniform within 1 / sqrt(width). There is one bias where PyTorch has two that are added,
  so its layers count 4 width parameters more.
  """

  def __init__(self, num_inputs: int, width: int, *, rngs: nnx.Rngs) -> None:
    self.width, scale = width, width**-0.5
    shapes = {"input": (num_inputs, 4 * width), "recurrent": (width, 4 * width), "bias": (4 * width,)}
    draw = {
      name: nnx.Param(jax.random.uniform(rngs.params(), shape, minval=-scale, maxval=scale))
      for name, shape in shapes.items()
    }
    self.input_kernel, self.recurrent_kernel, self.bias = draw["input"], draw["recurrent"], draw["bias"]

  def __call__(
    self, x: Float[Array, "batch length inputs"], *, reverse: bool = False
  ) -> Float[Array, "batch length width"]:
    """Returns the hidden state at every position, each seeing itself and those before (after, if reverse)."""
    flat = x.reshape(-1, x.shape[-1]) @ self.input_kernel[...] + self.bias[...][None]
    driven = flat.reshape(*x.shape[:2], -1).swapaxes(0, 1)
    kernel = self.recurrent_kernel[...]

    def step(carry: Carry, gates: Array) -> tuple[Carry, Array]:
      carry = _update(carry, gates + carry.hidden @ kernel)
      return carry, carry.hidden

    return jax.lax.scan(step, self.init_carry(x.shape[0]), driven, reverse=reverse)[1].swapaxes(0, 1)

  def init_carry(self, batch_size: int) -> Carry:
    """Returns the state before the first position."""
    zeros = jnp.zeros((batch_size, self.width))
    return Carry(zeros, zeros)

  def step(self, carry: Carry, x: Float[Array, "batch inputs"]) -> tuple[Carry, Float[Array, "batch width"]]:
    """Returns the state after one more position, and its hidden part."""
    gates = x @ self.input_kernel[...] + self.bias[...][None] + carry.hidden @ self.recurrent_kernel[...]
    carry = _update(carry, gates)
    return carry, carry.hidden


class BidirectionalLSTM(nnx.Module):
  """`num_layers` pairs of layers, forward and backward, their hidden states concatenated: 2 width features."""

  def __init__(self, num_inputs: int, width: int, num_layers: int, *, rngs: nnx.Rngs) -> None:
    inputs = [num_inputs] + [2 * width] * (num_layers - 1)
    self.ahead = nnx.List([LSTM(count, width, rngs=rngs) for count in inputs])
    self.back = nnx.List([LSTM(count, width, rngs=rngs) for count in inputs])

  def __call__(self, x: Float[Array, "batch length inputs"]) -> Float[Array, "batch length outputs"]:
    """Returns features of every position that depend on all."""
    for ahead, back in zip(self.ahead, self.back, strict=True):
      x = jnp.concatenate([ahead(x), back(x, reverse=True)], axis=-1)
    return x


def _update(carry: Carry, gates: Array) -> Carry:
  enter, forget, candidate, leave = jnp.split(gates, 4, axis=-1)
  cell = jax.nn.sigmoid(forget) * carry.cell + jax.nn.sigmoid(enter) * jnp.tanh(candidate)
  return Carry(jax.nn.sigmoid(leave) * jnp.tanh(cell), cell)
