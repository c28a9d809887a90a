"""The transformer block that the denoising and the causal network share, and their last layer."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Int, Key

from catgen.networks.conditioning import dropout
from catgen.networks.linear import Linear
from catgen.networks.modulation import Modulation, modulated_norm
from catgen.networks.self_attention import BlockSizes, Cache, SelfAttention


class GatedMLP(nnx.Module):
  """SwiGLU: output(silu(gate(h)) * value(h)) (Shazeer, 2020)."""

  def __init__(self, sizes: BlockSizes, *, rngs: nnx.Rngs) -> None:
    linear = functools.partial(Linear, use_bias=False, dtype=sizes.dtype, rngs=rngs)
    self.gate = linear(sizes.width, sizes.hidden_width)
    self.value = linear(sizes.width, sizes.hidden_width)
    self.output = linear(sizes.hidden_width, sizes.width)

  def __call__(self, h: Float[Array, "batch length width"]) -> Float[Array, "batch length width"]:
    """Returns the same perceptron at every position."""
    return self.output(jax.nn.silu(self.gate(h)) * self.value(h))


class Block(nnx.Module):
  """Two residual branches, attention and perceptron, each h + gate * branch(modulated_norm(h)).

  Shifts, scales and gates are linear in the time vector, or parameters in a network without time; all are zero at
  first, so that the block begins as the identity (adaLN-zero: Peebles and Xie, 2023).
  """

  def __init__(self, sizes: BlockSizes, *, rngs: nnx.Rngs) -> None:
    self.dropout = sizes.dropout
    self.modulation = Modulation(sizes.width, 6, time_width=sizes.time_width)
    self.attention = SelfAttention(sizes, rngs=rngs)
    self.mlp = GatedMLP(sizes, rngs=rngs)

  def __call__(
    self,
    h: Float[Array, "batch length width"],
    angles: Float[Array, "length half"],
    *,
    time: Float[Array, "batch time_width"] | None = None,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> Float[Array, "batch length width"]:
    """Returns h after both branches; keys = None means no dropout."""
    return self._residual(h, time, keys, lambda x: (self.attention(x, angles, valid=valid), None))[0]

  def decode(
    self, h: Float[Array, "batch 1 width"], angles: Float[Array, "1 half"], *, cache: Cache, position: Int[Array, ""]
  ) -> tuple[Float[Array, "batch 1 width"], Cache]:
    """Returns what the causal block gives at `position`, and the cache with that position added."""
    return self._residual(h, None, None, lambda x: self.attention.decode(x, angles, cache=cache, position=position))

  def _residual(self, h: Array, time: Array | None, keys: Array | None, attention: Callable) -> tuple[Array, Any]:
    shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(time)
    mixed, cache = attention(modulated_norm(h, shift, scale))
    branch_keys = (None, None) if keys is None else jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    h = h + gate.astype(h.dtype) * self._drop(branch_keys[0], mixed)
    change = self.mlp(modulated_norm(h, mlp_shift, mlp_scale))
    return h + mlp_gate.astype(h.dtype) * self._drop(branch_keys[1], change), cache

  def _drop(self, keys: Array | None, x: Array) -> Array:
    return x if keys is None else dropout(keys, x, self.dropout)


class Head(nnx.Module):
  """A last modulated norm and a linear layer that is zero at first, in float32."""

  def __init__(self, width: int, num_outputs: int, *, time_width: int | None, rngs: nnx.Rngs) -> None:
    self.modulation = Modulation(width, 2, time_width=time_width)
    self.output = Linear(width, num_outputs, init="zeros", rngs=rngs)

  def __call__(
    self, h: Float[Array, "batch length width"], time: Float[Array, "batch time_width"] | None
  ) -> Float32[Array, "batch length outputs"]:
    """Returns logits."""
    return self.output(modulated_norm(h.astype(jnp.float32), *self.modulation(time)))
