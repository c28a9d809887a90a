"""The block of the first transformers: attention and a perceptron, each added and the sum normalized."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from catgen.networks.conditions import NO_CONDITIONS, Conditions
from catgen.networks.parts.block import Residual
from catgen.networks.parts.dropout import dropout
from catgen.networks.parts.linear import SMALL
from catgen.networks.parts.mlp import PlainMLP
from catgen.networks.parts.norm import LayerNorm
from catgen.networks.parts.self_attention import SelfAttention
from catgen.networks.parts.sizes import BlockSizes


class PostNormBlock(nnx.Module):
  """a = norm(h + attention(h)), then norm(a + perceptron(a)).

  Args:
    sizes: from `plain_sizes`.
    attention: kind of attention; what it is told of places comes with each call.
    length: positions that have a learned vector each, added to h before anything else; 0 = none have.

  Reference: Vaswani et al. (2017); with positions in every layer: Al-Rfou et al. (2019), arXiv:1808.04444.
  """

  def __init__(self, sizes: BlockSizes, *, attention: type = SelfAttention, length: int = 0, rngs: nnx.Rngs) -> None:
    self.dropout = sizes.dropout
    deviation = SMALL if sizes.init == "small" else 0.0
    self.positions = nnx.Param(SMALL * jax.random.normal(rngs.params(), (length, sizes.width))) if length else None
    self.attention = attention(sizes, rngs=rngs)
    self.attention_norm = LayerNorm(sizes.width, deviation=deviation, rngs=rngs)
    self.mlp = PlainMLP(sizes, rngs=rngs)
    self.mlp_norm = LayerNorm(sizes.width, deviation=deviation, rngs=rngs)

  def __call__(self, h: Residual, places: Any, conditions: Conditions) -> Residual:
    """Returns h after both branches."""
    if self.positions is not None:
      h = _sum(h, self.positions[...])
    return self._residual(h, conditions, lambda x, own: (self.attention(x, places, own), None))[0]

  def decode(
    self, h: Float[Array, "batch 1 width"], places: Any, *, cache: Any, position: Int[Array, ""]
  ) -> tuple[Float[Array, "batch 1 width"], Any]:
    """Returns what the causal block gives at `position`, and the cache with that position added."""
    if self.positions is not None:
      h = _sum(h, jax.lax.dynamic_slice_in_dim(self.positions[...], position, 1))
    return self._residual(
      h, NO_CONDITIONS, lambda x, own: self.attention.decode(x, places, cache=cache, position=position)
    )

  def _residual(self, h: Array, conditions: Conditions, attention: Callable) -> tuple[Array, Any]:
    split = jax.vmap(lambda key: jax.random.split(key, 4))
    keys = (None,) * 4 if conditions.keys is None else jnp.moveaxis(split(conditions.keys), 1, 0)
    mixed, cache = attention(h, conditions._replace(keys=keys[0]))
    h = self.attention_norm(h + dropout(keys[1], mixed, self.dropout))
    change = self.mlp(h, keys[2])
    return self.mlp_norm(h + dropout(keys[3], change, self.dropout)), cache


def _sum(h: Residual, positions: Float[Array, "length width"]) -> Residual:
  """Returns h + positions in the dtype of h, added in float32, so that the gradient of the positions is."""
  return (h.astype(jnp.float32) + positions[None]).astype(h.dtype)
