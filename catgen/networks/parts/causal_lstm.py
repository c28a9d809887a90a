"""A causal network of LSTMs that are told the position as a one-hot vector and start from a state of their own."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from catgen.kernels.recurrence import Carry
from catgen.keys import fold_in
from catgen.networks.conditions import NO_CONDITIONS, Conditions
from catgen.networks.parts.dropout import check_rate, dropout
from catgen.networks.parts.given import Given
from catgen.networks.parts.linear import Linear
from catgen.networks.parts.lstm import LSTMLayer
from catgen.networks.parts.position_code import PositionCode


class CausalLSTM(nnx.Module):
  """The state of the top layer before each position: after the latents before it, each read with the next one's code.

  A causal conditioner, see `catgen.networks.roles.Conditioner`. What is given is added to the state.

  Args:
    length: positions, in row-major order.
    num_channels: of a latent.
    width: of the states; as many features come out.
    num_layers: of LSTMs.
    start_width: ReLU features between the code of the first position and the states before it.
    dropout: probability, in training, of what a layer passes to the next one.

  Reference: the priors of Ziegler and Rush (2019).
  """

  def __init__(
    self,
    length: int,
    num_channels: int,
    width: int,
    num_layers: int,
    *,
    start_width: int,
    given: tuple[int, ...] = (),
    dropout: float = 0.0,
    dtype: np.dtype | type = jnp.float32,
    rngs: nnx.Rngs,
  ) -> None:
    self.length, self.dropout = length, check_rate(dropout)
    inputs = [num_channels] + [width] * (num_layers - 1)
    self.layers = nnx.List([LSTMLayer(count, width, dtype=dtype, rngs=rngs) for count in inputs])
    self.code = PositionCode(length, 4 * width, use_bias=False, rngs=rngs)
    self.start_code = PositionCode(length, start_width, rngs=rngs)
    self.start = Linear(start_width, 2 * num_layers * width, init="uniform", rngs=rngs)
    self.given = Given(given, width) if given else None

  def __call__(
    self, z: Float[Array, "batch *event channels"], conditions: Conditions = NO_CONDITIONS
  ) -> Float[Array, "batch *event width"]:
    """Returns the states before all positions."""
    h = z if conditions.valid is None else jnp.where(conditions.valid[..., None], z, 0.0)
    h, start = h.reshape(len(z), self.length, -1), self.init_cache(len(z))
    code = jnp.roll(self.code(), -1, axis=0)  # what comes of the last position is not used
    for number, (layer, carry) in enumerate(zip(self.layers, start, strict=True)):
      h = layer(h, carry, code=None if number else code)
      if number + 1 < len(self.layers):
        h = dropout(fold_in(conditions.keys, number), h, self.dropout)
    states = jnp.concatenate([start[-1].hidden[:, None], h[:, :-1]], axis=1)
    if self.given is not None:
      states = states + self.given(conditions.given)[:, None]
    return states.reshape(*z.shape[:-1], -1)

  def init_cache(self, batch_size: int) -> tuple[Carry, ...]:
    """Returns the states of all layers before the first position."""
    states = self.start(jax.nn.relu(self.start_code()[0])).reshape(len(self.layers), 2, -1)
    return tuple(Carry(*(jnp.broadcast_to(part[None], (batch_size, len(part))) for part in each)) for each in states)

  def decode(
    self,
    cache: tuple[Carry, ...],
    previous: Float[Array, "batch channels"],
    position: Int[Array, ""],
    *,
    given: Int[Array, "batch attributes"] | None = None,
  ) -> tuple[Float[Array, "batch width"], tuple[Carry, ...]]:
    """Returns the state before one position given the latent before it (not read at position 0), and the cache."""
    h, code, updated = previous, jax.lax.dynamic_index_in_dim(self.code(), position, keepdims=False), []
    for number, (layer, carry) in enumerate(zip(self.layers, cache, strict=True)):
      after, _ = layer.step(carry, h, None if number else code)
      carry = Carry(*(jnp.where(position > 0, new, old) for new, old in zip(after, carry, strict=True)))
      updated.append(carry)
      h = carry.hidden
    return h if self.given is None else h + self.given(given), tuple(updated)
