"""The contract of a trunk, and what a role asks of it.

A trunk is a Flax module from features of every position to features of every position. A role (`catgen.networks.roles`)
reads data into features, calls the trunk, and makes outputs of what it gives. A trunk is built as
`recipe(ends, rngs=rngs)`; its keyword-only parameters are the keys of a section of a configuration.
"""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Int

from catgen.interfaces import InputError, PyTree, ReadOptions
from catgen.kinds import check_call
from catgen.networks.conditions import Conditions
from catgen.networks.parts.linear import Init


class Ends(NamedTuple):
  """What a role supplies. Most trunks read of it only whether they are causal and timed.

  Attributes:
    event_shape: axes of an example.
    num_inputs: categories that come in, of which a table makes features, or numbers of a position.
    num_outputs: of a position, that the role's last layer makes of the trunk's features.
    init: how that layer starts.
    categorical: categories come in.
    causal: position l is given what came before it, and its features must not depend on what later ones are given.
    timed: the trunk is told a time.
    sizes: categories of each position where they differ, see `EventSpec.sizes`; the role then reads and answers each
      position by a table of its own.
    blocks: noisy blocks are read beside the clean sequence, see `BlockTrunk`; it is causal, and has one axis.
  """

  event_shape: tuple[int, ...]
  num_inputs: int
  num_outputs: int
  init: Init
  categorical: bool = True
  causal: bool = False
  timed: bool = False
  sizes: tuple[int, ...] | None = None
  blocks: bool = False


class Abilities(NamedTuple):
  """What a trunk can do, and needs."""

  causal: bool = False  # be causal: it then has `init_cache` and `decode`
  carries: bool = False  # read on from a memory: see `CarryingTrunk`
  blocks: bool = False  # read noisy blocks beside a clean sequence: see `BlockTrunk`
  layers: bool = False  # tell the features of each of its layers: see `LayeredTrunk`
  time: bool = False  # be told a time; for others a role adds features of the time to what they read
  num_axes: int | None = None  # of the events that it takes; None = any
  blind: bool = False  # it reads nothing
  only_causal: bool = False  # it sees nothing but what came before, in whatever role


class Trunk(Protocol):
  """Features of every position to features of every position, the event's axes kept.

  What an invalid position holds reaches no valid one. Parameters and what is returned are float32.
  """

  abilities: ClassVar[Abilities]
  num_inputs: int  # features of a position that it reads
  num_outputs: int  # features of a position that it gives
  read_in: nnx.Module | None  # from the role's data to these features; None = the role's own, a table or a linear layer
  head: nnx.Module | None  # from these features to outputs; None = the role's own, a linear layer that starts at `init`

  def __init__(self, ends: Ends, *, rngs: nnx.Rngs, **sizes: Any) -> None: ...

  def __call__(
    self, h: Float[Array, "batch *event inputs"], conditions: Conditions
  ) -> Float32[Array, "batch *event outputs"]:
    """Returns features of every position; of the conditions a trunk reads time, valid and keys."""
    ...


class CausalTrunk(Trunk, Protocol):
  """A trunk that was built to be causal."""

  def init_cache(self, batch_size: int) -> Any:
    """Returns what `decode` carries before the first position, arrays [batch, ...]."""
    ...

  def decode(
    self, h: Float[Array, "batch inputs"], *, cache: Any, position: Int[Array, ""]
  ) -> tuple[Float32[Array, "batch outputs"], Any]:
    """Returns the features of one position in row-major order, given what it reads, and the cache for the next."""
    ...


class BlockTrunk(CausalTrunk, Protocol):
  """A causal trunk of sequences that was built to read noisy blocks too, by the same parameters.

  A slot is what the trunk reads for one position; slot d of the clean sequence stands at place d, from 0 to D - 1.
  """

  def init_chunks(self, batch_size: int) -> PyTree:
    """Returns the memory of a clean sequence of which nothing is read yet, arrays [batch, ...]."""
    ...

  def read_chunk(
    self,
    h: Float[Array, "batch length inputs"],
    conditions: Conditions,
    *,
    first: Int[Array, ""] | int = 0,
    seen: Bool[Array, "examples 1 places"] | None = None,
  ) -> PyTree:
    """Returns `conditions.memory` with clean slots that stand at places `first` and after, each of which sees itself,
    those before it in h, and of the memory what is `seen`; without a memory the one of the whole sequence, h."""
    ...

  def read_blocks(
    self,
    h: Float[Array, "batch blocks slots inputs"],
    conditions: Conditions,
    *,
    places: Int[Array, "blocks slots"],
    seen: Bool[Array, "examples blocks places"],
  ) -> Float32[Array, "batch blocks slots outputs"]:
    """Returns features of the slots of blocks, which stand at places 0 to D; each sees the valid ones of its own block
    and of the clean sequence, `conditions.memory`, what its block has `seen`."""
    ...


class LayeredTrunk(Trunk, Protocol):
  """A trunk whose layers all give features that a head can read."""

  num_layers: int

  def of_layers(
    self, h: Float[Array, "batch *event inputs"], conditions: Conditions
  ) -> Float[Array, "layers batch *event outputs"]:
    """Returns the features of every position in every layer, the last layer's as `__call__` gives them."""
    ...


class CarryingTrunk(CausalTrunk, Protocol):
  """A causal trunk that reads a stream in segments: what it gives depends on those before, through a memory."""

  memory_length: int  # positions that are remembered in training; 0 = none

  def empty_memory(self, batch_size: int, size: int) -> PyTree:
    """Returns a memory of `size` positions, at least 1, in which there is nothing; arrays [batch, ...]."""
    ...

  def read_on(
    self, h: Float[Array, "batch length inputs"], conditions: Conditions, options: ReadOptions
  ) -> tuple[Float32[Array, "batch length outputs"], PyTree]:
    """Returns features of a segment of any length, after what `conditions.memory` holds, and the memory after it."""
    ...


_CAUSAL = ("init_cache", "decode")
_EVERY: dict[str, Any] = {"num_inputs": int, "num_outputs": int, "read_in": Callable | None, "head": Callable | None}


def check_built(trunk: Any, ends: Ends, name: str) -> None:
  """Raises InputError where a trunk, of a user's own, lacks something that the contract asks of it.

  Args:
    trunk: as its factory has built it.
    ends: what it was built for.
    name: of the trunk, for messages.
  """
  for attribute, wanted in _EVERY.items():
    if not isinstance(getattr(trunk, attribute, ...), wanted):
      what = "a whole number" if wanted is int else "None, or a module or function"
      raise InputError(f"trunk {name} has no {attribute} that is {what}; set it in __init__")
  check_call(trunk.__call__, name, "features", "conditions")
  missing = [method for method in _CAUSAL if ends.causal and not callable(getattr(trunk, method, None))]
  if missing:
    raise InputError(f"trunk {name} says that it can be causal, but has no {missing[0]}; see CausalTrunk")


def check_features(features: Any, shape: tuple[int, ...], name: str) -> None:
  """Raises InputError where what a trunk returns is not float32 of such a shape, features of every position."""
  found = f"{getattr(features, 'dtype', type(features).__name__)} {list(getattr(features, 'shape', ()))}"
  if getattr(features, "shape", None) != shape or features.dtype != jnp.float32:
    raise InputError(f"trunk {name} returns {found}; it must be float32 {list(shape)}, features of every position")
