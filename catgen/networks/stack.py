"""What the roles of networks share: read in, any trunk, head; and which trunk can be what."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float, Float32, Int

from catgen.interfaces import InputError, PyTree, ReadOptions
from catgen.kinds import Recipe, name_of
from catgen.meshes import spread
from catgen.networks import TRUNKS
from catgen.networks.conditions import Conditions
from catgen.networks.parts.columns import ColumnEmbedding, ColumnHead
from catgen.networks.parts.embedding import Embedding
from catgen.networks.parts.given import Given
from catgen.networks.parts.linear import Linear
from catgen.networks.parts.time import TimeVector
from catgen.networks.trunk import Abilities, Ends, check_built, check_features

_MAY_BE_NONE = ("num_layers", "memory_length", "conv_width", "time_width", "dropout", "input_dropout")


class Stack(nnx.Module):
  """What the roles share: read in, trunk and head, with what is given and the time added to what is read.

  Args:
    role: in words, for messages.
    given: categories of each attribute, as in `EventSpec.given`.
  """

  def __init__(
    self,
    recipe: Recipe,
    role: str,
    ends: Ends,
    *,
    given: tuple[int, ...] = (),
    rngs: nnx.Rngs,
  ) -> None:
    check(recipe, role, ends)
    key = rngs.params() if ends.categorical else None  # first, so that a seed means the table that it always meant
    self.trunk: Any = recipe(ends, rngs=rngs)
    check_built(self.trunk, ends, trunk_name(recipe))
    width, self.by_column = self.trunk.num_inputs, ends.sizes is not None
    if ends.sizes is not None and key is not None:
      if self.trunk.read_in is not None or self.trunk.head is not None:
        raise InputError(
          f"{trunk_name(recipe)} reads categories in a way of its own, which does not know columns of different sizes;"
          " choose network kind transformer"
        )
      self.read_in: Any = ColumnEmbedding(ends.sizes, ends.num_inputs, width, behind=ends.causal, key=key)
    elif self.trunk.read_in is not None:
      self.read_in = None
    elif key is not None:
      self.read_in = Embedding(ends.num_inputs, width, key=key)
    else:
      self.read_in = Linear(ends.num_inputs, width, rngs=rngs)
    self.given = Given(given, width) if given else None
    self.time = TimeVector(width, rngs=rngs) if ends.timed and not self.trunk.abilities.time else None
    if ends.sizes is not None:
      self.head: Any = ColumnHead(self.trunk.num_outputs, ends.sizes, init=ends.init, rngs=rngs)
    elif self.trunk.head is not None:
      self.head = None
    else:
      self.head = Linear(self.trunk.num_outputs, ends.num_outputs, init=ends.init, rngs=rngs)

  def read(self, x: Array, position: Int[Array, ""] | None = None) -> Float[Array, "*positions inputs"]:
    """Returns features of what comes in. position: of x [batch, ...], in row-major order; None: x has all positions."""
    if self.by_column:
      return self.read_in(x, position)
    return (self.trunk.read_in if self.read_in is None else self.read_in)(x)

  def __call__(
    self, h: Float[Array, "batch *event inputs"], conditions: Conditions
  ) -> Float32[Array, "batch *event outputs"]:
    """Returns outputs of features that were read."""
    return self.outputs(self._features(h, conditions))

  def costs(
    self,
    h: Float[Array, "batch *event inputs"],
    conditions: Conditions,
    cost: Callable[..., Array],
    states: Sequence[Int[Array, "batch *event"]],
    num_pieces: int,
  ) -> Float[Array, "batch *event"]:
    """Returns cost(outputs, *states) of every position without ever holding the outputs of all of them.

    The positions are worked on in pieces, [batch, positions of a piece, outputs], in the gradient too, where the
    outputs are computed again. A trunk with a head of its own may look at several positions: its outputs are whole.
    """
    return self.costs_of(self._features(h, conditions), cost, states, num_pieces)

  def costs_of(
    self,
    features: Float[Array, "batch *places features"],
    cost: Callable[..., Array],
    states: Sequence[Int[Array, "batch *event"]],
    num_pieces: int,
  ) -> Float[Array, "batch *event"]:
    """Returns what `costs` does, of the trunk's features."""
    if num_pieces == 1 or self.head is None or self.by_column:
      return cost(self.outputs(features), *states)
    shape = states[0].shape

    def cut(values: Array, *last: int) -> Array:
      return spread(values.reshape(shape[0], num_pieces, -1, *last).swapaxes(0, 1), axis=1)

    head = self.head.repeated(shape[0])
    pieces = (cut(features, features.shape[-1]), *map(cut, states))
    found = jax.lax.map(jax.checkpoint(lambda piece: spread(cost(head(piece[0]), *piece[1:]))), pieces)
    return spread(found.swapaxes(0, 1).reshape(shape))

  def of_layers(
    self, h: Float[Array, "batch *event inputs"], conditions: Conditions
  ) -> Float[Array, "layers batch *event features"]:
    """Returns the features of every layer, of features that were read."""
    return spread(self.trunk.of_layers(spread(self._with_given(h, conditions.given)), conditions), axis=1)

  def read_on(
    self, h: Float[Array, "batch length inputs"], conditions: Conditions, options: ReadOptions
  ) -> tuple[Float32[Array, "batch length outputs"], PyTree]:
    """Returns outputs of a segment after what `conditions.memory` holds, and the memory after it."""
    features, memory = self.trunk.read_on(spread(self._with_given(h, conditions.given)), conditions, options)
    return self.outputs(spread(features)), memory

  def read_chunk(self, h: Float[Array, "batch length inputs"], conditions: Conditions, **places: Any) -> PyTree:
    """Returns the memory of a clean sequence with features that were read; see `BlockTrunk`."""
    return self.trunk.read_chunk(spread(self._with_given(h, conditions.given)), conditions, **places)

  def read_blocks(
    self, h: Float[Array, "batch blocks slots inputs"], conditions: Conditions, **places: Any
  ) -> Float32[Array, "batch blocks slots features"]:
    """Returns the trunk's features of noisy blocks, of features that were read; see `BlockTrunk`."""
    return spread(self.trunk.read_blocks(spread(self._with_given(h, conditions.given)), conditions, **places))

  def _features(
    self, h: Float[Array, "batch *event inputs"], conditions: Conditions
  ) -> Float32[Array, "batch *places features"]:
    if self.time is not None and conditions.time is not None:
      h, conditions = _added(h, self.time(conditions.time)), conditions._replace(time=None)
    features = self.trunk(spread(self._with_given(h, conditions.given)), conditions)
    if self.head is not None:
      check_features(features, (*h.shape[:-1], self.trunk.num_outputs), type(self.trunk).__name__)
    return spread(features)

  def decode(
    self, h: Float[Array, "batch inputs"], *, given: Array | None, cache: Any, position: Int[Array, ""]
  ) -> tuple[Float32[Array, "batch outputs"], Any]:
    """Returns outputs of one position, and the cache for the next."""
    h, cache = self.trunk.decode(self._with_given(h, given), cache=cache, position=position)
    return self.outputs(h, position), cache

  def _with_given(self, h: Array, given: Array | None) -> Array:
    if self.given is not None:
      return _added(h, self.given(given))
    if given is not None and given.shape[1]:
      raise InputError("attributes are given, but the network was built for none; set EventSpec.given")
    return h

  def outputs(
    self, h: Float[Array, "*places features"], position: Int[Array, ""] | None = None
  ) -> Float32[Array, "*positions outputs"]:
    """Returns outputs of the trunk's features. position: see `read`."""
    if self.by_column:
      return self.head(h, position)
    return (self.trunk.head if self.head is None else self.head)(h)


def _added(h: Float[Array, "batch *event width"], vector: Float[Array, "examples width"]) -> Array:
  """Returns h with a vector of each example added at every position."""
  return h + vector.reshape(len(vector), *(1,) * (h.ndim - 2), -1)


def check(recipe: Recipe, role: str, ends: Ends) -> None:
  """Raises InputError where a trunk makes no sense in a role, or does not take such events."""
  abilities = _abilities(recipe.make)
  name = trunk_name(recipe)
  _check_sizes(recipe, name)
  if abilities.num_axes not in (None, len(ends.event_shape)):
    kinds = able(lambda each: each.num_axes in (None, len(ends.event_shape)))
    raise InputError(f"{name} needs maps, not events of shape {ends.event_shape}; for them choose one of {kinds}")
  if abilities.blind and role != "an encoder":
    raise InputError(f"{name} reads nothing and cannot be {role}; choose one of {able(lambda each: not each.blind)}")
  if abilities.only_causal and not ends.causal:
    kinds = able(lambda each: not each.only_causal and not each.blind)
    raise InputError(f"{name} sees only what came before and cannot be {role}; choose one of {kinds}")
  if ends.causal and not abilities.causal:
    kinds = able(lambda each: each.causal)
    raise InputError(f"{name} sees positions on all sides and cannot be {role}; choose one of {kinds}")
  if ends.blocks and not abilities.blocks:
    kinds = able(lambda each: each.blocks)
    raise InputError(f"{name} reads no noisy blocks beside a clean sequence; choose one of {kinds}")


def able(test: Callable[[Abilities], bool]) -> str:
  """Returns the names of the trunks whose abilities pass a test."""
  return ", ".join(name for name, kind in TRUNKS.items() if test(_abilities(kind.make)))


def _abilities(make: Any) -> Abilities:
  found = getattr(make, "abilities", None)
  if not isinstance(found, Abilities):
    raise InputError(f"trunk {name_of(make)} has no abilities; it is a class that says `abilities = Abilities(...)`")
  return found


def trunk_name(recipe: Recipe) -> str:
  """Returns the name of a recipe's trunk."""
  return next((name for name, kind in TRUNKS.items() if kind.make is recipe.make), name_of(recipe.make))


def _check_sizes(recipe: Recipe, name: str) -> None:
  """Raises InputError for a whole number that is no size: below 1, or below 0 where none of something may be meant."""
  for key, value in recipe.keywords.items():
    least = 0 if key in _MAY_BE_NONE else 1
    for size in value if isinstance(value, list | tuple) else [value]:
      if isinstance(size, int) and not isinstance(size, bool) and size < least:
        raise InputError(f"{key} of {name} is {value}; it must be at least {least}")
