"""The deep character transformer: learned positions in every layer, and features of every layer for its own losses."""

import functools
import math
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Float32, Int

from catgen.networks.conditions import Conditions
from catgen.networks.parts.layers import Layers
from catgen.networks.parts.post_norm_block import PostNormBlock
from catgen.networks.parts.self_attention import Cache
from catgen.networks.parts.sizes import plain_sizes
from catgen.networks.trunk import Abilities, Ends


class DeepTransformer(nnx.Module):
  """Blocks of Vaswani et al. (2017) over a window whose positions have a learned vector in every layer.

  Deep ones learn by the losses of all their layers; see `autoregressive`.

  Args:
    width: features of a position.
    num_layers: blocks, of attention and a perceptron each.
    num_heads: of attention; divides width.
    hidden_width: of the perceptrons.
    dropout: probability, in training, on the weights of attention and within the perceptrons.
    dtype: "float32" or "bfloat16", of activations; parameters and outputs stay float32.
    remat: see `Transformer`.
    scan_layers: see `Transformer`.

  Norms follow the sums, and there is none at the end: with it the published numbers of parameters would not come out.

  Reference: Al-Rfou et al. (2019), arXiv:1808.04444.
  """

  abilities = Abilities(causal=True, layers=True)

  def __init__(
    self,
    ends: Ends,
    *,
    rngs: nnx.Rngs,
    width: int = 128,
    num_layers: int = 6,
    num_heads: int = 2,
    hidden_width: int = 512,
    dropout: float = 0.0,
    dtype: str = "float32",
    remat: str = "none",
    scan_layers: bool = False,
  ) -> None:
    sizes = plain_sizes(
      width=width,
      num_heads=num_heads,
      hidden_width=hidden_width,
      attention_dropout=dropout,
      hidden_dropout=dropout,
      dtype=dtype,
      causal=ends.causal,
    )
    self.num_inputs = self.num_outputs = width
    self.read_in, self.head, self.dtype, self.num_layers = None, None, sizes.dtype, num_layers
    self.length = math.prod(ends.event_shape)
    make = functools.partial(PostNormBlock, length=self.length)
    self.layers = Layers(sizes, num_layers, make=make, remat=remat, scan_layers=scan_layers, rngs=rngs)

  def __call__(
    self, h: Float[Array, "batch *event inputs"], conditions: Conditions
  ) -> Float32[Array, "batch *event outputs"]:
    """See `Trunk`."""
    return self.layers(*self._flat(h, conditions)).reshape(h.shape).astype(jnp.float32)

  def of_layers(
    self, h: Float[Array, "batch *event inputs"], conditions: Conditions
  ) -> Float[Array, "layers batch *event outputs"]:
    """See `LayeredTrunk.of_layers`."""
    last, inputs = self.layers.with_inputs(*self._flat(h, conditions))
    return jnp.concatenate([inputs[1:], last[None]]).reshape(self.num_layers, *h.shape)

  def init_cache(self, batch_size: int) -> tuple[Cache, ...]:
    """See `CausalTrunk.init_cache`; one entry a layer."""
    return self.layers.init_cache(batch_size, self.length, None)

  def decode(
    self, h: Float[Array, "batch inputs"], *, cache: tuple[Cache, ...], position: Int[Array, ""]
  ) -> tuple[Float32[Array, "batch outputs"], tuple[Cache, ...]]:
    """See `CausalTrunk.decode`."""
    one, cache = self.layers.decode(h[:, None].astype(self.dtype), None, cache=cache, position=position)
    return one[:, 0].astype(jnp.float32), cache

  def _flat(self, h: Array, conditions: Conditions) -> tuple[Array, Any, Conditions]:
    valid = None if conditions.valid is None else conditions.valid.reshape(len(h), -1)
    flat = h.reshape(len(h), self.length, h.shape[-1]).astype(self.dtype)
    return flat, None, Conditions(valid=valid, keys=conditions.keys)
