"""Blocks one after another, as a loop or scanned, with or without rematerialization."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from catgen.keys import fold_in
from catgen.meshes import spread
from catgen.networks.conditions import Conditions
from catgen.networks.parts.block import Block, Residual
from catgen.networks.parts.self_attention import Cache
from catgen.networks.parts.sizes import BlockSizes


class Layers(nnx.Module):
  """`num_layers` blocks.

  Args:
    remat: recompute activations of a block in the backward pass instead of keeping them.
    scan_layers: keep the parameters of all blocks stacked along a leading axis and scan over it: compile time is then
      independent of the depth, and steps on CPUs are about 12 % slower.
  """

  def __init__(self, sizes: BlockSizes, num_layers: int, *, remat: bool, scan_layers: bool, rngs: nnx.Rngs) -> None:
    self.num_layers, self.remat, self.scan_layers = num_layers, remat, scan_layers
    self.blocks: Any  # a Block with a leading axis on every parameter, or a list of Blocks
    if scan_layers:
      build = nnx.vmap(lambda rngs: Block(sizes, rngs=rngs))
      self.blocks = nnx.split_rngs(splits=num_layers)(build)(rngs)
    else:
      self.blocks = nnx.List([Block(sizes, rngs=rngs) for _ in range(num_layers)])

  def __call__(self, h: Residual, angles: Float[Array, "length half"], conditions: Conditions) -> Residual:
    """Returns h after all blocks; time: a vector of each example. Layer i drops activations by fold_in(key, i)."""

    graph = nnx.graphdef(self.blocks if self.scan_layers else self.blocks[0])

    def apply(h: Array, layer: tuple[nnx.State, Array]) -> tuple[Array, None]:
      parameters, number = layer
      own = conditions._replace(keys=fold_in(conditions.keys, number))
      return spread(nnx.merge(graph, parameters)(spread(h, whole=True), angles, own), whole=True), None

    step: Callable = jax.checkpoint(apply) if self.remat else apply
    if self.scan_layers:
      return jax.lax.scan(step, h, (nnx.state(self.blocks), jnp.arange(self.num_layers)))[0]
    for number, block in enumerate(self.blocks):
      h, _ = step(h, (nnx.state(block), jnp.asarray(number)))
    return h

  def init_cache(self, batch_size: int, length: int) -> tuple[Cache, ...]:
    """Returns what `decode` carries before the first position, one entry a layer."""
    return tuple(self._block(i).attention.init_cache(batch_size, length) for i in range(self.num_layers))

  def decode(
    self,
    h: Float[Array, "batch 1 width"],
    angles: Float[Array, "length half"],
    *,
    cache: tuple[Cache, ...],
    position: Int[Array, ""],
  ) -> tuple[Float[Array, "batch 1 width"], tuple[Cache, ...]]:
    """Returns what causal blocks give at `position`, and the cache with that position added."""
    own, updated = jax.lax.dynamic_slice_in_dim(angles, position, 1), []
    for number, layer_cache in enumerate(cache):
      h, layer_cache = self._block(number).decode(h, own, cache=layer_cache, position=position)
      updated.append(layer_cache)
    return h, tuple(updated)

  def _block(self, number: int) -> Block:
    """Returns one block, wherever its parameters are kept."""
    if not self.scan_layers:
      return self.blocks[number]
    graph, parameters = nnx.split(self.blocks)
    return nnx.merge(graph, jax.tree.map(lambda leaf: leaf[number], parameters))
