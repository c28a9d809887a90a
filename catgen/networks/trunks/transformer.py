"""The default trunk: a transformer of the best known parts, causal or not, told the time or not."""

import math
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Int

from catgen.interfaces import PyTree
from catgen.networks.conditions import Conditions
from catgen.networks.parts.layers import Layers
from catgen.networks.parts.norm import ModulatedNorm
from catgen.networks.parts.rotary import rotation_angles
from catgen.networks.parts.self_attention import Cache, Slots
from catgen.networks.parts.sizes import block_sizes
from catgen.networks.parts.time import TimeMLP
from catgen.networks.trunk import Abilities, Ends


class Transformer(nnx.Module):
  """Rotary positions, normalized queries and keys, gated perceptrons, and norms that adapt to time.

  Events are flattened to one sequence; rotary angles follow the axes, so distances on maps are two-dimensional.

  Args:
    width: features of a position; width / num_heads is even, and for the fused GPU kernel a multiple of 8, at most 128.
    num_layers: blocks, of attention and a perceptron each.
    num_heads: of attention; divides width.
    mlp_ratio: hidden features of the gated perceptron over width, rounded as `hidden_multiple` says.
    hidden_multiple: they are a multiple of it; None = 128 where width is at least 512, else 8.
    time_width: features of the time vector, even; unused where no time is told.
    conv_width: taps of a depthwise convolution along the sequence before attention, odd, or any number in a causal
      network, where the last is the position itself; 0 = none.
    positions: False = nothing tells positions apart but what they hold, as is right for sets; a convolution still does.
    dropout: probability, in training, on the output of every branch.
    dtype: "float32" or "bfloat16", of activations; parameters and outputs stay float32.
    remat: what of a block's activations is computed again in the backward pass: "none"; "full", all of them: the least
      memory, a third more operations; "dots", all but products with kernels: of attention no scores are kept.
    scan_layers: stack the blocks' parameters and scan over them: compile time independent of depth, about 12 % slower
      on CPUs. What scanned layers keep for the backward pass is written to memory and read again, on accelerators the
      most of a step's traffic: there choose remat "full" with it, or do not scan (docs/DEVICES.md).

  Reference: Peebles and Xie (2023) for adaLN-zero; Su et al. (2021) for rotary positions.
  """

  abilities = Abilities(causal=True, time=True, blocks=True)

  def __init__(
    self,
    ends: Ends,
    *,
    rngs: nnx.Rngs,
    width: int = 128,
    num_layers: int = 4,
    num_heads: int = 4,
    mlp_ratio: float = 8 / 3,
    hidden_multiple: int | None = None,
    time_width: int = 128,
    conv_width: int = 0,
    positions: bool = True,
    dropout: float = 0.0,
    dtype: str = "float32",
    remat: str = "none",
    scan_layers: bool = False,
  ) -> None:
    sizes = block_sizes(
      width=width,
      num_heads=num_heads,
      mlp_ratio=mlp_ratio,
      hidden_multiple=hidden_multiple,
      time_width=time_width if ends.timed else None,
      causal=ends.causal,
      conv_width=conv_width,
      dropout=dropout,
      dtype=dtype,
    )
    self.num_inputs = self.num_outputs = width
    self.read_in, self.head, self.dtype = None, None, sizes.dtype
    self.event_shape, self.head_dim, self.positions = ends.event_shape, width // num_heads, positions
    rotation_angles(self.event_shape, self.head_dim)  # refuses what cannot rotate before anything is built
    self.time: Any = TimeMLP(time_width, rngs=rngs) if ends.timed else None
    self.layers = Layers(sizes, num_layers, remat=remat, scan_layers=scan_layers, rngs=rngs)
    self.norm = ModulatedNorm(width, time_width=sizes.time_width)

  def __call__(
    self, h: Float[Array, "batch *event inputs"], conditions: Conditions
  ) -> Float32[Array, "batch *event outputs"]:
    """See `Trunk`."""
    vector = None if conditions.time is None else self.time(conditions.time)
    valid = None if conditions.valid is None else conditions.valid.reshape(len(h), -1)
    flat = h.reshape(len(h), -1, h.shape[-1]).astype(self.dtype)
    flat = self.layers(flat, self._angles(), Conditions(time=vector, valid=valid, keys=conditions.keys))
    return self.norm(flat, vector).reshape(h.shape)

  def init_cache(self, batch_size: int) -> tuple[Cache, ...]:
    """See `CausalTrunk.init_cache`; one entry a layer."""
    return self.layers.init_cache(batch_size, math.prod(self.event_shape), self._angles())

  def decode(
    self, h: Float[Array, "batch inputs"], *, cache: tuple[Cache, ...], position: Int[Array, ""]
  ) -> tuple[Float32[Array, "batch outputs"], tuple[Cache, ...]]:
    """See `CausalTrunk.decode`."""
    one = h[:, None].astype(self.dtype)
    one, cache = self.layers.decode(one, self._angles(), cache=cache, position=position)
    return self.norm(one, None)[:, 0], cache

  def init_chunks(self, batch_size: int) -> PyTree:
    """See `BlockTrunk.init_chunks`."""
    return self.layers.init_chunks(batch_size, math.prod(self.event_shape), self._angles())

  def read_chunk(
    self,
    h: Float[Array, "batch length inputs"],
    conditions: Conditions,
    *,
    first: Int[Array, ""] | int = 0,
    seen: Bool[Array, "examples 1 places"] | None = None,
  ) -> PyTree:
    """See `BlockTrunk.read_chunk`."""
    slots = Slots(self._angles()[first + jnp.arange(h.shape[1])], seen, first)
    return self.layers.read_chunk(h.astype(self.dtype), slots, conditions._replace(time=None, given=None))[1]

  def read_blocks(
    self,
    h: Float[Array, "batch blocks slots inputs"],
    conditions: Conditions,
    *,
    places: Int[Array, "blocks slots"],
    seen: Bool[Array, "examples blocks places"],
  ) -> Float32[Array, "batch blocks slots outputs"]:
    """See `BlockTrunk.read_blocks`."""
    valid = None if conditions.valid is None else conditions.valid.reshape(len(h), -1)
    flat = h.reshape(len(h), -1, h.shape[-1]).astype(self.dtype)
    slots = Slots(self._angles(1)[places.reshape(-1)], seen, places[:, 0])
    flat = self.layers.read_blocks(flat, slots, conditions._replace(time=None, given=None, valid=valid))
    return self.norm(flat, None).reshape(h.shape)

  def _angles(self, more: int = 0) -> Array:
    """Returns the angles of all places; more: of how many after them, of a sequence."""
    first, *others = self.event_shape
    angles = rotation_angles((first + more, *others), self.head_dim)
    return jnp.asarray(self.positions * angles, jnp.float32)
