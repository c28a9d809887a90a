"""The block of a transformer, told the time or not, causal or not."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from catgen.networks.conditions import NO_CONDITIONS, Conditions
from catgen.networks.parts.dropout import dropout
from catgen.networks.parts.mlp import GatedMLP
from catgen.networks.parts.norm import Modulation, modulated_norm
from catgen.networks.parts.self_attention import Angles, Cache, SelfAttention, Slots
from catgen.networks.parts.sizes import BlockSizes

Residual = Float[Array, "batch length width"]  # the stream that blocks add to


class Block(nnx.Module):
  """Two residual branches, attention and perceptron, each h + gate * branch(modulated_norm(h)).

  Shifts, scales and gates are linear in the time vector, or parameters in a network without time; all are zero at
  first, so that the block begins as the identity (adaLN-zero: Peebles and Xie, 2023).
  """

  def __init__(self, sizes: BlockSizes, *, rngs: nnx.Rngs) -> None:
    self.dropout = sizes.dropout
    self.modulation = Modulation(sizes.width, 6, time_width=sizes.time_width)
    self.attention = SelfAttention(sizes, rngs=rngs)
    self.mlp = GatedMLP(sizes.width, sizes.hidden_width, dtype=sizes.dtype, rngs=rngs)

  def __call__(self, h: Residual, angles: Angles, conditions: Conditions) -> Residual:
    """Returns h after both branches; the time is a vector of each example, [batch, time_width]."""
    return self._residual(h, conditions, lambda x: (self.attention(x, angles, conditions), None))[0]

  def decode(
    self, h: Float[Array, "batch 1 width"], angles: Angles, *, cache: Cache, position: Int[Array, ""]
  ) -> tuple[Float[Array, "batch 1 width"], Cache]:
    """Returns what the causal block gives at `position`, and the cache with that position added."""
    return self._residual(h, NO_CONDITIONS, lambda x: self.attention.decode(x, angles, cache=cache, position=position))

  def read_chunk(self, h: Residual, slots: Slots, conditions: Conditions) -> tuple[Residual, Cache]:
    """Returns h of slots after those of the cache after both branches, and the cache; see `SelfAttention`."""
    return self._residual(h, conditions, lambda x: self.attention.read_chunk(x, slots, conditions))

  def read_blocks(self, h: Residual, slots: Slots, conditions: Conditions) -> Residual:
    """Returns h of noisy blocks after both branches; see `SelfAttention`."""
    return self._residual(h, conditions, lambda x: (self.attention.read_blocks(x, slots, conditions), None))[0]

  def _residual(self, h: Array, conditions: Conditions, attention: Callable) -> tuple[Array, Any]:
    shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(conditions.time)
    mixed, cache = attention(modulated_norm(h, shift, scale))
    keys = conditions.keys
    branch_keys = (None, None) if keys is None else jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    h = h + (gate * dropout(branch_keys[0], mixed, self.dropout)).astype(h.dtype)
    change = self.mlp(modulated_norm(h, mlp_shift, mlp_scale))
    return h + (mlp_gate * dropout(branch_keys[1], change, self.dropout)).astype(h.dtype), cache
