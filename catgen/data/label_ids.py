"""Integers as a user has them and as categories: which id is which category, which ids are none, how many there are."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Int, Int64, Integer, Shaped

from catgen.batches import batch_of
from catgen.interfaces import Batch, InputError

MOST_CATEGORIES = 2**20  # that are inferred from the largest id
FEW_CATEGORIES = 4096  # up to here any share of the ids may occur
SPARSEST = 64  # times as many categories as ids that occur: more are inferred from no file
_FLAGS = 2**22  # range of ids in which those that occur are flags


class LabelIds(NamedTuple):
  """What the integers of a user mean."""

  ids: Int64[np.ndarray, "classes"] | None = None  # of the categories in their order, ascending; None: the same numbers
  ignore: tuple[int, ...] = ()  # that are no category: positions with them are not valid

  @property
  def nothing(self) -> int:
    """What stands in arrays for a hole, and for a code that means no category: -1, or one below the smallest id."""
    return -1 if self.ids is None else min(-1, int(self.ids[0]) - 1)

  @property
  def dtype(self) -> type[np.signedinteger]:
    """The smaller one of int32 and int64 that holds all ids."""
    largest = max((abs(int(i)) for i in (*self.ignore, *(() if self.ids is None else self.ids[[0, -1]]))), default=0)
    return np.int32 if largest < 2**31 else np.int64


PLAIN = LabelIds()


class UsedIds(NamedTuple):
  """The ids that occur in arrays, those ignored left out."""

  ids: Int64[np.ndarray, "used"] | None  # ascending; None: more than MOST_CATEGORIES
  smallest: int
  largest: int

  @property
  def number(self) -> str:
    """How many there are, for messages."""
    return f"more than {MOST_CATEGORIES:,}" if self.ids is None else f"{len(self.ids):,}"

  def packed(self) -> Int64[np.ndarray, "numbers"]:
    """Returns all of it as one array."""
    return np.array([self.ids is not None, self.smallest, self.largest, *(() if self.ids is None else self.ids)])

  @classmethod
  def unpacked(cls, numbers: Int64[np.ndarray, "numbers"]) -> "UsedIds":
    """Returns what was packed."""
    known, smallest, largest = numbers[:3].tolist()
    return cls(numbers[3:] if known else None, smallest, largest)


def are_valid(values: Shaped[np.ndarray, "*shape"], ignore: Sequence[int]) -> Bool[np.ndarray, "*shape"]:
  """Returns where integers are none of the ids that are ignored."""
  valid = np.ones(values.shape, bool)
  for one in ignore:
    limits = np.iinfo(np.uint8 if values.dtype.kind == "b" else values.dtype)
    if limits.min <= one <= limits.max:
      valid &= values != one
  return valid


def to_batch(values: Shaped[np.ndarray, "n *event"], labels: LabelIds) -> Batch:
  """Returns examples of integers whose ids are all known: category 0 where ignored, which is not valid."""
  if labels.ids is None and not labels.ignore:
    return batch_of(values.astype(np.int32))
  valid = are_valid(values, labels.ignore)
  if labels.ids is not None:
    values = np.minimum(np.searchsorted(labels.ids, values.astype(np.int64)), len(labels.ids) - 1)
  return batch_of(np.where(valid, values.astype(np.int32), np.int32(0)), valid)


def to_categories(values: Shaped[np.ndarray, "*shape"], labels: LabelIds) -> Int64[np.ndarray, "*shape"]:
  """Returns the category of each integer, any of its ids; raises InputError for an id that the data did not have.

  Where `labels.ids` is None it is the integer itself. It means nothing where the id is ignored.
  """
  found = values.astype(np.int64)
  if labels.ids is None:
    return found
  entry = np.minimum(np.searchsorted(labels.ids, found), len(labels.ids) - 1)
  unknown = are_valid(values, labels.ignore) & (labels.ids[entry] != found)
  if unknown.any():
    place = tuple(int(i) for i in np.argwhere(unknown)[0])
    raise InputError(
      f"id {values[place]} at index {place} is none of the {len(labels.ids):,} that the training data have "
      f"({_shown(labels.ids)}); correct it"
    )
  return entry


def to_ids(
  x: Integer[Array | np.ndarray, "*shape"], valid: Bool[Array | np.ndarray, "*shape"] | None, labels: LabelIds, /
) -> Integer[np.ndarray, "*shape"]:
  """Returns the id of each category.

  What is no category (x below 0) becomes `labels.nothing`; what is not valid the first id that is ignored, or -1.
  """
  found = np.asarray(x).astype(labels.dtype)
  if labels.ids is not None:
    known = labels.ids[np.clip(found, 0, len(labels.ids) - 1)]
    found = np.where(found < 0, labels.nothing, known).astype(labels.dtype)
  if valid is None:
    return found
  hidden = labels.ignore[0] if labels.ignore else labels.nothing
  return np.where(np.asarray(valid), found, labels.dtype(hidden))


def used_ids(blocks: Sequence[Iterable[Shaped[np.ndarray, "n ..."]]], ignore: Sequence[int]) -> UsedIds:
  """Returns the ids that occur.

  Args:
    blocks: two walks over the same arrays, each in pieces.
    ignore: ids that do not count.

  Raises:
    InputError: there are none, or one does not fit in 63 bits.
  """
  first, second = blocks
  ends = [(int(found.min()), int(found.max())) for block in first if (found := _counted(block, ignore)).size]
  if not ends:
    raise InputError("every position is ignored; correct ignore")
  smallest, largest = min(low for low, _ in ends), max(high for _, high in ends)
  if largest >= 2**63:
    raise InputError(f"the id {largest} has more than 63 bits; correct the data, or say ignore={largest}")
  if largest - smallest < _FLAGS:
    occurs = np.zeros(largest - smallest + 1, bool)
    for block in second:
      occurs[_counted(block, ignore).astype(np.int64) - smallest] = True
    found = np.flatnonzero(occurs) + smallest
    return UsedIds(found if len(found) <= MOST_CATEGORIES else None, smallest, largest)
  found = np.zeros(0, np.int64)
  for block in second:
    found = np.union1d(found, _counted(block, ignore).astype(np.int64))
    if len(found) > MOST_CATEGORIES:
      return UsedIds(None, smallest, largest)
  return UsedIds(found, smallest, largest)


def number_of_categories(used: UsedIds, num_classes: int | None) -> int:
  """Returns K of ids that are categories: as given, or the largest id plus one.

  It is inferred where at least one of SPARSEST categories occurs, or there are no more than FEW_CATEGORIES; beyond, and
  beyond MOST_CATEGORIES, ids are numbers of something else, and a model of so many categories is not meant.

  Raises:
    InputError: there would be so many, or they do not fit in 31 bits.
  """
  if num_classes is not None:
    if not 1 <= num_classes < 2**31:
      raise InputError(f"num_classes is {num_classes}; it must be at least 1 and less than 2^31")
    return num_classes
  number = max(2, used.largest + 1)
  many = number > MOST_CATEGORIES or used.ids is None
  if many or (number > FEW_CATEGORIES and number > SPARSEST * len(used.ids if used.ids is not None else ())):
    meant = "" if number >= 2**31 else f", or num_classes={number} if all of these are categories"
    raise InputError(
      f"the largest id is {used.largest}, which would make {number:,} categories, and {used.number} ids occur; say"
      f" relabel=true to number the ids that occur, ignore={used.largest} if that one is no category{meant}"
    )
  return number


def relabelled(used: UsedIds, num_classes: int | None) -> Int64[np.ndarray, "classes"]:
  """Returns the ids of the categories, one for each id that occurs, and for a single one its successor too.

  Raises:
    InputError: there are too many, or not as many as `num_classes`, where that is given.
  """
  if used.ids is None:
    raise InputError(f"{used.number} different ids occur; these are no categories: map them, or correct the data")
  ids = used.ids if len(used.ids) > 1 else np.array([used.smallest, used.smallest + 1])
  if num_classes not in (None, len(ids)):
    raise InputError(
      f"relabel finds {len(ids):,} ids ({_shown(ids)}), but num_classes, names or colors say {num_classes:,}; make "
      "them equal, or leave those out"
    )
  return ids


def from_spec(spec: dict[str, Any]) -> LabelIds:
  """Returns what `to_spec` wrote."""
  ids = spec.get("ids")
  return LabelIds(None if ids is None else np.array(ids, np.int64), tuple(spec.get("ignore", ())))


def to_spec(labels: LabelIds) -> dict[str, Any]:
  """Returns what is not plain, as JSON."""
  found: dict[str, Any] = {} if labels.ids is None else {"ids": labels.ids.tolist()}
  return found | ({"ignore": list(labels.ignore)} if labels.ignore else {})


def _counted(block: Shaped[np.ndarray, "n ..."], ignore: Sequence[int]) -> Shaped[np.ndarray, "counted"]:
  return block[are_valid(block, ignore)] if ignore else np.asarray(block).reshape(-1)


def _shown(ids: Int[np.ndarray, "ids"]) -> str:
  """Returns the ids in a line, shortened beyond eight."""
  words = list(map(str, ids.tolist()))
  return ", ".join(words if len(words) <= 8 else [*words[:4], "...", *words[-2:]])
