"""What a data set is: integers in named splits, and how people read them. More words that all of catgen shares."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Bool, Int

from catgen.interfaces import Batch, EventSpec, HostOrDevice, InputError

_LOOKED_AT = 64  # examples of a split


class Split(NamedTuple):
  """Examples of one split, read on demand as NumPy arrays: a function of their numbers, which are the batch's index."""

  num_examples: int
  examples: Callable[[Int[np.ndarray, "n"]], Batch]  # fixed and disjoint: chunks of a stream, or records
  num_crops: int
  crops: Callable[[Int[np.ndarray, "n"]], Batch]  # an example from every start; the examples where there are none
  # positions between the starts of consecutive examples in the numbering of crops: crop p of a stream starts at its
  # position p. None = separate records, which have no neighbors
  stride: int | None = None
  given: tuple[int, ...] = ()  # as `EventSpec.given`, so that padding can say "not given"
  whole: bool = False  # every position of every example and crop is valid

  @property
  def consecutive(self) -> bool:
    """Whether examples follow one another in a stream, so that they are not independent; see `bounds.ratio_error`."""
    return self.stride is not None


class Legend(NamedTuple):
  """How the categories of a map are shown, in their order."""

  names: tuple[str, ...]
  colors: tuple[str, ...]  # "#rrggbb"


class DecodeFn(Protocol):
  """Returns one example as people read it: text, or an array. valid: which positions are shown, None = all."""

  def __call__(self, x: Int[HostOrDevice, "*event"], valid: Bool[HostOrDevice, "*event"] | None = None, /) -> Any: ...


class Codec(NamedTuple):
  """Between what people read and integers; rebuilt from `spec` without the data."""

  # text or array -> Int["length"] or Int["*event"]; raises InputError outside the alphabet
  encode: Callable[[Any], Int[np.ndarray, "*event"]]
  decode: DecodeFn
  spec: dict[str, Any]  # JSON
  legend: Legend | None = None  # of label maps
  end: int | None = None  # the category that ends a text and fills up the example; None: texts have no end
  num_bytes: Int[np.ndarray, "classes"] | None = None  # of each category in UTF-8; None: a category has no such number


class Attribute(NamedTuple):
  """What may be given with an example: a label of a name and one of several values, numbered in their order."""

  name: str
  values: tuple[str, ...]


class DataSource(NamedTuple):
  """A data set: integers in named splits, with what is needed to read them and to report on them."""

  event: EventSpec
  splits: dict[str, Split]  # "train", "validation", "test" where present
  codec: Codec
  position: str  # what one position is: "character", "byte", "pixel", "value"
  bytes_per_position: float | None  # of text, on average over all splits; None: bits per byte are not stated
  fingerprint: str  # SHA-256 of the integers of all splits, in order, and of what is given with them
  description: str  # one line: origin and size
  attributes: tuple[Attribute, ...] = ()  # the names behind `EventSpec.given`
  # positions of the longest record, where some are padded: the likelihood is given their lengths, and what lies behind
  # the longest is never trained. None: no record is padded
  longest: int | None = None
  warnings: tuple[str, ...] = ()  # lines about what in the data may not be read as it is meant

  def __repr__(self) -> str:
    shape, splits = ", ".join(map(str, self.event.shape)), [f"{n} {s.num_examples:,}" for n, s in self.splits.items()]
    return f"DataSource({self.description!r}, [{shape}] of {self.event.num_classes} categories; {', '.join(splits)})"


def check_examples(source: DataSource, name: str) -> None:
  """Raises InputError where a split's first examples are no integers in [0, K) of the event's shape.

  Args:
    source: of a user's own, perhaps.
    name: of it, for messages.
  """
  for split, each in source.splits.items():
    batch = each.examples(np.arange(min(_LOOKED_AT, each.num_examples)))
    x, shape, classes = batch.x, source.event.shape, source.event.num_classes
    if x.dtype.kind not in "iu" or x.shape[1:] != shape:
      raise InputError(
        f"{name}: examples of split {split!r} are {x.dtype} {list(x.shape[1:])}; the event needs integers {list(shape)}"
      )
    if (wrong := x[batch.valid & ((x < 0) | (x >= classes))]).size:
      raise InputError(f"{name}: split {split!r} has category {wrong[0]}; the event has those from 0 to {classes - 1}")
