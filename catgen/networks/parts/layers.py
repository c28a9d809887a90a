"""Blocks one after another, as a loop or scanned, with or without rematerialization."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from catgen.interfaces import InputError
from catgen.kernels.product import PRODUCT
from catgen.keys import fold_in
from catgen.meshes import spread
from catgen.networks.conditions import Conditions
from catgen.networks.parts.block import Block, Residual
from catgen.networks.parts.sizes import BlockSizes

_POLICIES = jax.checkpoint_policies
REMAT: dict[str, Callable | None] = {  # what of a block is kept for the backward pass
  "none": None,
  "full": _POLICIES.nothing_saveable,
  "dots": _POLICIES.save_from_both_policies(
    _POLICIES.dots_with_no_batch_dims_saveable, _POLICIES.save_only_these_names(PRODUCT)
  ),
}


class Layers(nnx.Module):
  """`num_layers` blocks.

  Args:
    make: (sizes, rngs=rngs) -> a block.
    remat: what of a block is computed again in the backward pass: "none" of it; all of it ("full"), so that only its
      input is kept; all but products with kernels ("dots"), so that scores of attention are not kept.
    scan_layers: keep the parameters of all blocks stacked along a leading axis and scan over it: compile time is then
      independent of the depth, and steps on CPUs are about 12 % slower.
  """

  def __init__(
    self,
    sizes: BlockSizes,
    num_layers: int,
    *,
    make: Callable[..., Any] = Block,
    remat: str,
    scan_layers: bool,
    rngs: nnx.Rngs,
  ) -> None:
    if remat not in REMAT:
      raise InputError(f"remat {remat!r} is unknown; choose one of {', '.join(REMAT)}")
    self.num_layers, self.remat, self.scan_layers = num_layers, remat, scan_layers
    self.blocks: Any  # a block with a leading axis on every parameter, or a list of blocks
    if scan_layers:
      build = nnx.vmap(lambda rngs: make(sizes, rngs=rngs))
      self.blocks = nnx.split_rngs(splits=num_layers)(build)(rngs)
    else:
      self.blocks = nnx.List([make(sizes, rngs=rngs) for _ in range(num_layers)])

  def __call__(self, h: Residual, places: Any, conditions: Conditions) -> Residual:
    """Returns h after all blocks; places: what attention is told of them; time: a vector of each example.

    Layer i drops activations by fold_in(key, i).
    """
    return self._walk(h, conditions, lambda block, h, own: (block(h, places, own), None))[0]

  def with_inputs(
    self, h: Residual, places: Any, conditions: Conditions
  ) -> tuple[Residual, Float[Array, "layers batch length width"]]:
    """Returns h after all blocks, and what each of them was given."""
    h, inputs = self._walk(h, conditions, lambda block, h, own: (block(h, places, own), h))
    return h, inputs if self.scan_layers else jnp.stack(inputs)

  def read_chunk(self, h: Residual, slots: Any, conditions: Conditions) -> tuple[Residual, Any]:
    """Returns h of slots after those of `conditions.memory`, see `init_chunks`, after all blocks, and that memory."""
    told = conditions._replace(memory=self._swapped(conditions.memory))
    h, memory = self._walk(h, told, lambda block, h, own: block.read_chunk(h, slots, own))
    return h, self._swapped(memory)

  def read_blocks(self, h: Residual, slots: Any, conditions: Conditions) -> Residual:
    """Returns h of noisy blocks, beside what `conditions.memory` keeps of a sequence, after all blocks."""
    told = conditions._replace(memory=self._swapped(conditions.memory))
    return self._walk(h, told, lambda block, h, own: (block.read_blocks(h, slots, own), None))[0]

  def _swapped(self, memory: Any) -> Any:
    """Returns a memory of scanned layers with axes [batch, layers, ...] as [layers, batch, ...], and back."""
    return jax.tree.map(lambda kept: kept.swapaxes(0, 1), memory) if self.scan_layers else memory

  def _walk(
    self, h: Residual, conditions: Conditions, call: Callable[[Any, Array, Conditions], tuple[Array, Any]]
  ) -> tuple[Residual, Any]:
    """Returns h after all blocks, and what else `call(block, h, conditions)` gives of each.

    That of all blocks is stacked where they are scanned, else a tuple; so is what `conditions.memory` has of each.
    """
    graph = nnx.graphdef(self.blocks if self.scan_layers else self.blocks[0])

    def apply(h: Array, layer: tuple[nnx.State, Array, Any]) -> tuple[Array, Any]:
      parameters, number, memory = layer
      own = conditions._replace(keys=fold_in(conditions.keys, number), memory=memory)
      after, kept = call(nnx.merge(graph, parameters), spread(h, whole=True), own)
      return spread(after, whole=True), kept

    policy = REMAT[self.remat]
    step: Callable = apply if policy is None else jax.checkpoint(apply, policy=policy)
    memory = conditions.memory
    if self.scan_layers:
      return jax.lax.scan(step, h, (nnx.state(self.blocks), jnp.arange(self.num_layers), memory))
    kept = []
    for number, block in enumerate(self.blocks):
      h, own = step(h, (nnx.state(block), jnp.asarray(number), None if memory is None else memory[number]))
      kept.append(own)
    return h, tuple(kept)

  def init_cache(self, batch_size: int, length: int, places: Any) -> tuple[Any, ...]:
    """Returns what `decode` carries before the first position, one entry a layer."""
    return tuple(self._block(i).attention.init_cache(batch_size, length, places) for i in range(self.num_layers))

  def init_chunks(self, batch_size: int, length: int, places: Any) -> Any:
    """Returns what `read_chunk` is given before the first slot, arrays [batch, ...]."""
    empty = tuple(self._block(i).attention.init_chunks(batch_size, length, places) for i in range(self.num_layers))
    return jax.tree.map(lambda *layers: jnp.stack(layers, axis=1), *empty) if self.scan_layers else empty

  def decode(
    self, h: Float[Array, "batch 1 width"], places: Any, *, cache: tuple[Any, ...], position: Int[Array, ""]
  ) -> tuple[Float[Array, "batch 1 width"], tuple[Any, ...]]:
    """Returns what causal blocks give at `position`, and the cache with that position added."""
    updated = []
    for number, layer_cache in enumerate(cache):
      h, layer_cache = self._block(number).decode(h, places, cache=layer_cache, position=position)
      updated.append(layer_cache)
    return h, tuple(updated)

  def _block(self, number: int) -> Any:
    """Returns one block, wherever its parameters are kept."""
    if not self.scan_layers:
      return self.blocks[number]
    graph, parameters = nnx.split(self.blocks)
    return nnx.merge(graph, jax.tree.map(lambda leaf: leaf[number], parameters))
