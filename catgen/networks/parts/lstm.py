"""Layers of long short-term memory over sequences, whole or one position at a time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32

from catgen.kernels.product import multiplied
from catgen.kernels.recurrence import Carry, advance, recur
from catgen.networks.parts.position_code import PositionCode


class LSTMLayer(nnx.Module):
  """One layer in one direction, its initialization PyTorch's, uniform within 1 / sqrt(width).

  There is one bias where PyTorch has two that are added, so its layers count 4 width parameters more. dtype: of
  the factors of products; states are float32.
  """

  def __init__(self, num_inputs: int, width: int, *, dtype: np.dtype | type = jnp.float32, rngs: nnx.Rngs) -> None:
    self.width, self.dtype, scale = width, jnp.dtype(dtype), width**-0.5
    shapes = {"input": (num_inputs, 4 * width), "recurrent": (width, 4 * width), "bias": (4 * width,)}
    draw = {
      name: nnx.Param(jax.random.uniform(rngs.params(), shape, minval=-scale, maxval=scale))
      for name, shape in shapes.items()
    }
    self.input_kernel, self.recurrent_kernel, self.bias = draw["input"], draw["recurrent"], draw["bias"]

  def __call__(
    self,
    x: Float[Array, "batch length inputs"],
    start: Carry | None = None,
    *,
    code: Float[Array, "length gates"] | None = None,
    reverse: bool = False,
  ) -> Float[Array, "batch length width"]:
    """Returns the hidden state at every position, each seeing itself and those before (after, if reverse).

    Args:
      start: the state before the first position; None = zeros.
      code: what the positions themselves add to the gates, see `PositionCode`.
    """
    driven = self._driven(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:2], -1)
    driven = driven if code is None else driven + code[None]
    return recur(self.recurrent_kernel[...], driven, start, reverse=reverse, dtype=self.dtype)

  def init_carry(self, batch_size: int) -> Carry:
    """Returns the state before the first position."""
    zeros = jnp.zeros((batch_size, self.width))
    return Carry(zeros, zeros)

  def step(
    self, carry: Carry, x: Float[Array, "batch inputs"], code: Float[Array, "gates"] | None = None
  ) -> tuple[Carry, Float[Array, "batch width"]]:
    """Returns the state after one more position, and its hidden part."""
    driven = self._driven(x) if code is None else self._driven(x) + code[None]
    carry = advance(self.recurrent_kernel[...], carry, driven, self.dtype)
    return carry, carry.hidden

  def _driven(self, rows: Float[Array, "rows inputs"]) -> Float32[Array, "rows gates"]:
    gates = multiplied(rows.astype(self.dtype), self.input_kernel[...])
    return gates.astype(jnp.float32) + self.bias[...][None]


class BidirectionalLSTM(nnx.Module):
  """`num_layers` pairs of layers, forward and backward, their hidden states concatenated: 2 width features.

  code_length: of sequences whose one-hot positions, counted from either end, are further inputs; 0 = they are not.
  """

  def __init__(
    self,
    num_inputs: int,
    width: int,
    num_layers: int,
    *,
    code_length: int = 0,
    dtype: np.dtype | type = jnp.float32,
    rngs: nnx.Rngs,
  ) -> None:
    inputs = [num_inputs] + [2 * width] * (num_layers - 1)
    self.ahead = nnx.List([LSTMLayer(count, width, dtype=dtype, rngs=rngs) for count in inputs])
    self.back = nnx.List([LSTMLayer(count, width, dtype=dtype, rngs=rngs) for count in inputs])
    codes = [PositionCode(code_length, 4 * width, use_bias=False, rngs=rngs) for _ in range(2 if code_length else 0)]
    self.codes = nnx.List(codes)

  def __call__(self, x: Float[Array, "batch length inputs"]) -> Float[Array, "batch length outputs"]:
    """Returns features of every position that depend on all."""
    codes: Any = [code() for code in self.codes] or (None, None)
    for ahead, back in zip(self.ahead, self.back, strict=True):
      x = jnp.concatenate([ahead(x, code=codes[0]), back(x, code=codes[1], reverse=True)], axis=-1)
      codes = (None, None)  # only the first layer reads them
    return x
