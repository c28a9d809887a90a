"""The paper's recurrent trunk: layers of long short-term memory, bidirectional or causal."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Float32, Int

from catgen.interfaces import InputError
from catgen.kernels.recurrence import Carry
from catgen.networks.conditions import Conditions
from catgen.networks.parts.dropout import check_rate
from catgen.networks.parts.linear import Linear
from catgen.networks.parts.lstm import BidirectionalLSTM, LSTMLayer
from catgen.networks.parts.mlp import MLP
from catgen.networks.parts.position_code import PositionCode
from catgen.networks.parts.precision import compute_dtype
from catgen.networks.parts.shift import shifted
from catgen.networks.trunk import Abilities, Ends


class LSTM(nnx.Module):
  """Input dropout, a code of the position beside what is read, LSTMs over the flattened event.

  Args:
    width: features of a position that enter the LSTM, the position's own included.
    time_width: those that tell the position; 0 = none.
    hidden_width: of the GELU perceptron through which a conditioner reads; unused where categories are read.
    lstm_width: of the states; in both directions, where it is not causal, each so many.
    num_layers: of LSTMs.
    input_dropout: probability, in training, that all features of a position but its own are zeroed, without rescaling.
    output_width: features between states and outputs where categories are read; unused in a conditioner, whose head is
      a perceptron of lstm_width (none if it is causal: there a linear layer and GELU).
    dtype: of the products' factors, float32 or bfloat16; states, gates and outputs are float32.

  Position l of a causal LSTM has the code of the position that it reads, l - 1, and the first has zeros.
  Reference: the paper's text flows (arXiv:2102.05379), after CategoricalNF (Lippe and Gavves, 2021).
  """

  abilities = Abilities(causal=True)

  def __init__(
    self,
    ends: Ends,
    *,
    rngs: nnx.Rngs,
    width: int = 256,
    time_width: int = 64,
    hidden_width: int = 256,
    lstm_width: int = 512,
    num_layers: int = 2,
    input_dropout: float = 0.0,
    output_width: int = 128,
    dtype: str = "float32",
  ) -> None:
    if not 0 <= time_width < width:
      raise InputError(f"time_width {time_width} of an lstm must be at least 0 and below its width {width}")
    self.causal, self.length = ends.causal, math.prod(ends.event_shape)
    self.input_dropout = check_rate(input_dropout, "input_dropout")
    self.num_inputs = width - time_width
    kept: dict[str, Any] = {"dtype": compute_dtype(dtype), "rngs": rngs}
    mlp, read = functools.partial(MLP, **kept), (ends.num_inputs, hidden_width, self.num_inputs)
    self.read_in = None if ends.categorical else mlp(*read, activate_last=True)
    self.position_code: Any = PositionCode(self.length, time_width, rngs=rngs) if time_width else None
    if ends.causal:
      inputs = [width] + [lstm_width] * (num_layers - 1)
      self.layers = nnx.List([LSTMLayer(count, lstm_width, **kept) for count in inputs])
    else:
      self.lstm = BidirectionalLSTM(width, lstm_width, num_layers, **kept)
    states = lstm_width if ends.causal else 2 * lstm_width
    self.num_outputs = output_width if ends.categorical else states
    self.output = Linear(states, output_width, init="uniform", **kept) if ends.categorical else None
    if ends.categorical:
      self.head: nnx.Module | None = None
    elif ends.causal:
      self.head = mlp(states, ends.num_outputs, activate_last=True)
    else:
      self.head = mlp(states, lstm_width, ends.num_outputs)

  def __call__(
    self, h: Float[Array, "batch *event inputs"], conditions: Conditions
  ) -> Float32[Array, "batch *event outputs"]:
    """See `Trunk`."""
    flat = h.reshape(len(h), self.length, -1)
    if conditions.keys is not None and self.input_dropout:
      keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - self.input_dropout, (self.length,)))(conditions.keys)
      keep = shifted(keep, True, (self.length,)) if self.causal else keep
      flat = jnp.where(keep[..., None], flat, 0.0)
    if conditions.valid is not None:
      flat = jnp.where(conditions.valid.reshape(len(h), -1, 1), flat, 0.0)
    if self.position_code is not None:
      code = self._codes()
      flat = jnp.concatenate([flat, jnp.broadcast_to(code[None], (len(flat), *code.shape))], axis=-1)
    if self.causal:
      for layer in self.layers:
        flat = layer(flat)
    else:
      flat = self.lstm(flat)
    return self._outputs(flat).reshape(*h.shape[:-1], -1)

  def init_cache(self, batch_size: int) -> tuple[Carry, ...]:
    """See `CausalTrunk.init_cache`; the state of every layer."""
    return tuple(layer.init_carry(batch_size) for layer in self.layers)

  def decode(
    self, h: Float[Array, "batch inputs"], *, cache: tuple[Carry, ...], position: Int[Array, ""]
  ) -> tuple[Float32[Array, "batch outputs"], tuple[Carry, ...]]:
    """See `CausalTrunk.decode`."""
    if self.position_code is not None:
      code = jax.lax.dynamic_index_in_dim(self._codes(), position, keepdims=False)
      h = jnp.concatenate([h, jnp.broadcast_to(code[None], (len(h), *code.shape))], axis=-1)
    updated = []
    for layer, carry in zip(self.layers, cache, strict=True):
      carry, h = layer.step(carry, h)
      updated.append(carry)
    return self._outputs(h), tuple(updated)

  def _codes(self) -> Array:
    """Returns what tells each position which one it reads, [length, time_width]."""
    codes = self.position_code()
    return shifted(codes[None], 0.0, (self.length,))[0] if self.causal else codes

  def _outputs(self, states: Array) -> Array:
    return states if self.output is None else self.output(states).astype(jnp.float32)
