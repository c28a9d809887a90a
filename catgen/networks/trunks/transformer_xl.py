"""Transformer-XL: attention by distances, which reads on from the features of what stands before."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Float32, Int

from catgen.interfaces import InputError, PyTree, ReadOptions
from catgen.keys import fold_in
from catgen.meshes import gathered, spread
from catgen.networks.conditions import Conditions
from catgen.networks.parts.dropout import dropout
from catgen.networks.parts.layers import Layers
from catgen.networks.parts.linear import SMALL
from catgen.networks.parts.post_norm_block import PostNormBlock
from catgen.networks.parts.relative_attention import DistanceCache, Distances, RelativeAttention, distance_codes
from catgen.networks.parts.sizes import plain_sizes
from catgen.networks.trunk import Abilities, Ends

_EMBEDDING_KEY, _LAST_KEY = 2**20, 2**20 + 1  # numbers for dropout that no layer has


class TransformerXL(nnx.Module):
  """Post-norm blocks over a segment and a memory: what every layer was given at the positions before the segment.

  Where it reads categories the table of the input also makes the logits. What stands before the first position is read
  as the mean of its rows.

  Args:
    width: features of a position, even.
    num_layers: blocks, of attention and a perceptron each.
    num_heads: of attention; divides width.
    hidden_width: of the perceptrons.
    memory_length: positions before a segment that training remembers, where data are read as streams; 0 = none.
    dropout: probability, in training, on what is read, codes of distances, branches, perceptrons and what is given.
    attention_dropout: probability, in training, on the weights of attention.
    dtype: "float32" or "bfloat16", of activations; parameters and outputs stay float32.
    remat: see `Transformer`.
    scan_layers: see `Transformer`.

  Reference: Dai et al. (2019), arXiv:1901.02860.
  """

  abilities = Abilities(causal=True, only_causal=True, carries=True)

  def __init__(
    self,
    ends: Ends,
    *,
    rngs: nnx.Rngs,
    width: int = 128,
    num_layers: int = 4,
    num_heads: int = 4,
    hidden_width: int = 512,
    memory_length: int = 64,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    dtype: str = "float32",
    remat: str = "none",
    scan_layers: bool = False,
  ) -> None:
    if width % 2:
      raise InputError(f"width {width} of a transformer_xl must be even: half of it are sines, half cosines")
    sizes = plain_sizes(
      width=width,
      num_heads=num_heads,
      hidden_width=hidden_width,
      dropout=dropout,
      attention_dropout=attention_dropout,
      hidden_dropout=dropout,
      dtype=dtype,
      causal=True,
      init="small",
    )
    self.num_inputs = self.num_outputs = width
    self.length, self.memory_length = math.prod(ends.event_shape), memory_length
    self.dropout, self.dtype, self.num_layers = dropout, sizes.dtype, num_layers
    self.read_in = TiedTable(ends.num_outputs, width, rngs=rngs) if ends.categorical else None
    biases = (num_heads, width // num_heads)
    self.content_bias = nnx.Param(SMALL * jax.random.normal(rngs.params(), biases))
    self.distance_bias = nnx.Param(SMALL * jax.random.normal(rngs.params(), biases))
    make = functools.partial(PostNormBlock, attention=RelativeAttention)
    self.layers = Layers(sizes, num_layers, make=make, remat=remat, scan_layers=scan_layers, rngs=rngs)

  @property
  def head(self) -> Any:
    """See `Trunk.head`: the table of what is read, where categories are."""
    return None if self.read_in is None else self.read_in.logits

  def __call__(
    self, h: Float[Array, "batch *event inputs"], conditions: Conditions
  ) -> Float32[Array, "batch *event outputs"]:
    """See `Trunk`."""
    valid = None if conditions.valid is None else conditions.valid.reshape(len(h), -1)
    flat = self._begun(h.reshape(len(h), self.length, -1), conditions)
    own = Conditions(valid=valid, keys=conditions.keys)
    return self._ended(self.layers(flat, self._distances(self.length), own), conditions).reshape(h.shape)

  def empty_memory(self, batch_size: int, size: int) -> PyTree:
    """See `CarryingTrunk.empty_memory`."""
    inputs = jnp.zeros((batch_size, self.num_layers, size, self.num_inputs), self.dtype)
    return {"inputs": spread(inputs), "valid": spread(jnp.zeros((batch_size, size), bool))}

  def read_on(
    self, h: Float[Array, "batch length inputs"], conditions: Conditions, options: ReadOptions
  ) -> tuple[Float32[Array, "batch length outputs"], PyTree]:
    """See `CarryingTrunk.read_on`."""
    memory, (length, size) = conditions.memory, (h.shape[1], conditions.memory["valid"].shape[1])
    own = jnp.ones(h.shape[:2], bool) if conditions.valid is None else conditions.valid
    valid = jnp.concatenate([memory["valid"], own], axis=1)
    before = spread(jax.lax.stop_gradient(memory["inputs"]).swapaxes(0, 1), axis=1)
    last, inputs = self.layers.with_inputs(
      self._begun(h, conditions),
      self._distances(size + length, options, size),
      Conditions(valid=valid, keys=conditions.keys, memory=before),
    )
    inputs = jax.lax.stop_gradient(jnp.concatenate([before, inputs], axis=2))[:, :, length:]
    return self._ended(last, conditions), {"inputs": spread(inputs.swapaxes(0, 1)), "valid": valid[:, length:]}

  def init_cache(self, batch_size: int) -> tuple[DistanceCache, ...]:
    """See `CausalTrunk.init_cache`; one entry a layer."""
    return self.layers.init_cache(batch_size, self.length, self._distances(self.length))

  def decode(
    self, h: Float[Array, "batch inputs"], *, cache: tuple[DistanceCache, ...], position: Int[Array, ""]
  ) -> tuple[Float32[Array, "batch outputs"], tuple[DistanceCache, ...]]:
    """See `CausalTrunk.decode`."""
    distances = self._distances(self.length)
    one, cache = self.layers.decode(h[:, None].astype(self.dtype), distances, cache=cache, position=position)
    return one[:, 0].astype(jnp.float32), cache

  def _begun(self, h: Float[Array, "batch length inputs"], conditions: Conditions) -> Array:
    return dropout(fold_in(conditions.keys, _EMBEDDING_KEY), h, self.dropout).astype(self.dtype)

  def _ended(self, h: Float[Array, "batch length width"], conditions: Conditions) -> Float32[Array, "..."]:
    return dropout(fold_in(conditions.keys, _LAST_KEY), h.astype(jnp.float32), self.dropout)

  def _distances(self, number: int, options: ReadOptions | None = None, size: int = 0) -> Distances:
    """Returns what layers are told of the distances below a number, with so much memory."""
    options = ReadOptions() if options is None else options
    longest = number - 1 if options.max_distance is None else min(options.max_distance, number - 1)
    codes = jnp.asarray(distance_codes(longest + 1, self.num_inputs), self.dtype)
    return Distances(codes, self.content_bias[...], self.distance_bias[...], size if options.same_length else None)


class TiedTable(nnx.Module):
  """A table whose rows, times sqrt(width), categories are read as, and whose products with features are logits.

  A category that has no row is read as the mean of all.
  """

  def __init__(self, number: int, width: int, *, rngs: nnx.Rngs) -> None:
    self.embedding = nnx.Param(SMALL * jax.random.normal(rngs.params(), (number, width)))
    self.bias = nnx.Param(jnp.zeros((number,)))

  def __call__(self, x: Int[Array, "*batch"]) -> Float[Array, "*batch width"]:
    """Returns the row of each category times sqrt(width), in float32."""
    table = gathered(self.embedding[...])
    rows = jnp.concatenate([table, table.mean(axis=0, keepdims=True)]) * math.sqrt(table.shape[1])
    return spread(rows[jnp.minimum(x, len(table))])

  def logits(self, h: Float[Array, "*batch width"]) -> Float32[Array, "*batch classes"]:
    """Returns the products of features with all rows, and a bias."""
    table = self.embedding[...]
    products = h.astype(jnp.float32).reshape(-1, h.shape[-1]) @ table.T + self.bias[...][None]
    return spread(products.reshape(*h.shape[:-1], -1))
