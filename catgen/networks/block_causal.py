"""The role of networks that are causal from block to block: a causal network that also reads noisy blocks.

The clean sequence is read as by `Causal`: slot d holds the category before position d. Beside it each block of L
positions from s on has L + 1 slots, which hold the categories at s - 1, s, ..., s + L - 1, K where nothing is known.
A slot stands where the position after its category does, and what it gives is of that position; so the last one only
tells the others what it holds. A noisy slot sees the clean slots before place s, which end with the category at s - 2,
and those of its own block that hold a known category. Nobody sees a slot that holds none.

So noise reaches neither the clean sequence, which is read once for all blocks, nor other blocks; and the first position
of a block gets what `Causal` says of it, by the same parameters.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Int

from catgen.interfaces import PyTree
from catgen.kinds import Recipe
from catgen.networks.conditions import NO_CONDITIONS, Conditions
from catgen.networks.parts.shift import shifted
from catgen.networks.roles import Causal


class Clean(NamedTuple):
  """What is kept of the clean sequence."""

  memory: PyTree  # of the trunk
  valid: Bool[Array, "batch places"] | None  # which clean slots hold what counts; None = all


class BlockCausal(Causal):
  """Each position of a block predicted from all blocks before it, and from what is known of its own.

  Args: those of `Causal`, of sequences; it has the same parameters.

    block_length: L, positions of a block, which divides those of an example.
  """

  def __init__(
    self,
    recipe: Recipe,
    event_shape: tuple[int, ...],
    num_classes: int,
    given: tuple[int, ...] = (),
    *,
    block_length: int,
    rngs: nnx.Rngs,
  ) -> None:
    super().__init__(recipe, event_shape, num_classes, num_classes, given, blocks=True, rngs=rngs)
    self.length, self.block_length = event_shape[0], block_length

  def read_clean(self, x: Int[Array, "batch length"], conditions: Conditions = NO_CONDITIONS) -> Clean:
    """Returns what is kept of whole examples."""
    h, told = self._read(x, conditions)
    return Clean(self.stack.read_chunk(h, told), told.valid)

  def unread(self, batch_size: int, valid: Bool[Array, "batch length"] | None = None) -> Clean:
    """Returns what is kept where nothing is read yet; valid: which positions count, None = all."""
    before = None if valid is None else shifted(valid, True, self.event_shape)
    return Clean(self.stack.trunk.init_chunks(batch_size), before)

  def read_block(
    self,
    clean: Clean,
    tokens: Int[Array, "batch block"],
    number: Int[Array, ""],
    *,
    given: Int[Array, "batch attributes"] | None = None,
  ) -> Clean:
    """Returns what is kept once a block is known too.

    Args:
      clean: what is kept of those before it.
      tokens: the category before each of its positions, K before the first and where it does not count.
      number: of the block, from 0.
    """
    told = Conditions(valid=None if clean.valid is None else self._held(tokens, number), given=given)
    memory = self.stack.read_chunk(
      self.stack.read(tokens),
      told._replace(memory=clean.memory),
      first=number * self.block_length,
      seen=self._seen(clean, number[None]),
    )
    return clean._replace(memory=memory)

  def of_blocks(
    self,
    clean: Clean,
    x: Int[Array, "batch length"],
    masked: Bool[Array, "batch length"],
    conditions: Conditions,
    cost: Callable[..., Array],
    *states: Array,
    pieces: int,
  ) -> Float[Array, "batch length ..."]:
    """Returns cost(logits, *states) of every position of examples, of which in each block some are masked.

    Args:
      clean: of `read_clean`.
      x, masked: the examples; what a masked position holds reaches those after its block only.
      conditions: valid, keys and given count; dropout keys are others than those of `clean`.
      cost: (logits [batch, some positions, outputs], states of these) -> a number for each.
      pieces: of all positions, worked on one after the other; 1: all at once, and a cost may have further axes.
    """
    slots, visible = self._slots(x, masked, conditions.valid)
    features = self._features(clean, slots, jnp.arange(slots.shape[1]), conditions._replace(valid=visible))
    return self.stack.costs_of(features.reshape(*x.shape, -1), cost, states, pieces)

  def of_block(
    self,
    clean: Clean,
    tokens: Int[Array, "batch slots"],
    number: Int[Array, ""],
    *,
    given: Int[Array, "batch attributes"] | None = None,
  ) -> Float32[Array, "batch block outputs"]:
    """Returns the logits of one block.

    Args:
      clean: what is kept of the blocks before it.
      tokens: the category before the block, and those of its positions; K before the first position, and where it is
        not known or does not count.
      number: of the block, from 0.
    """
    told = Conditions(valid=self._held(tokens, number)[:, None], given=given)
    return self.stack.outputs(self._features(clean, tokens[:, None], number[None], told)[:, 0])

  def _held(self, tokens: Int[Array, "batch slots"], number: Int[Array, ""]) -> Bool[Array, "batch slots"]:
    """Returns which slots of a block hold a category, or are the first of all."""
    begins = (number == 0) & (jnp.arange(tokens.shape[1]) == 0)
    return (tokens != self.start) | begins[None]

  def _slots(self, x: Array, masked: Array, valid: Array | None) -> tuple[Array, Array]:
    """Returns what the slots of all blocks hold, and which of them are seen, [batch, blocks, slots]."""
    counts = jnp.ones(x.shape, bool) if valid is None else valid
    held, known = jnp.where(counts, x, self.start), counts & ~masked

    def of_slots(before: Array, own: Array) -> Array:
      before, own = (each.reshape(len(x), -1, self.block_length) for each in (before, own))
      return jnp.concatenate([before[:, :, :1], own], axis=2)

    tokens = of_slots(shifted(held, self.start, self.event_shape), jnp.where(known, x, self.start))
    return tokens, of_slots(shifted(counts, True, self.event_shape), known)

  def _features(
    self, clean: Clean, slots: Array, numbers: Int[Array, "blocks"], conditions: Conditions
  ) -> Float32[Array, "batch blocks block features"]:
    """Returns the trunk's features of the positions of blocks that have these numbers."""
    places = numbers[:, None] * self.block_length + jnp.arange(slots.shape[2])[None]
    told = conditions._replace(memory=clean.memory)
    found = self.stack.read_blocks(self.stack.read(slots), told, places=places, seen=self._seen(clean, numbers))
    return found[:, :, :-1]

  def _seen(self, clean: Clean, numbers: Int[Array, "blocks"]) -> Bool[Array, "examples blocks places"]:
    """Returns which clean slots blocks see: those before the first place of each that hold what counts."""
    before = jnp.arange(self.length)[None] < numbers[:, None] * self.block_length
    return before[None] if clean.valid is None else before[None] & clean.valid[:, None]
