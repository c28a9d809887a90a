"""Splits: where a data set is cut, how streams and records are read, and the fingerprint of the result."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int, Shaped, UInt8, UInt32

from catgen.batches import batch_of
from catgen.data.integers import integer_dtype
from catgen.data.remembered import Recall, afresh
from catgen.data.shards import Stored
from catgen.interfaces import Batch, InputError
from catgen.sources import Attribute, DataSource, Split

NAMES = ("train", "validation", "test")
# What of a record fractions hash. 1: its bytes as they are stored (until commit 7d560fe). 2: its integers in the fewest
# bytes that hold num_classes. 3: its integers alone, see `as_integers`. A rule never changes: runs were split by it.
SPLIT_RULES = (1, 2, 3)
SPLIT_RULE = 3
ANY_INTEGERS = 2**32  # num_classes under which a fingerprint does not depend on it: that of rule 3
BLOCK = 2**20  # positions or bytes that a pass over a large array takes at a time


def get_split(source: DataSource, name: str) -> Split:
  """Returns a split of `source`, or raises InputError with the names that exist."""
  if name not in source.splits:
    raise InputError(f"split {name!r} does not exist; this data set has {', '.join(source.splits)}")
  return source.splits[name]


def split_bounds(total: int, splits: Sequence[float | int], unit: str) -> dict[str, tuple[int, int]]:
  """Returns (start, stop) of train, validation and test, contiguous and in this order; empty ones are left out.

  Args:
    total: how much there is to split.
    splits: three numbers >= 0. Fractions where they sum to at most one, else whole counts; what they leave over
      at the end is not used.
    unit: what is counted, for messages ("characters", "lines").
  """
  _check_splits(splits)
  if _are_fractions(splits):
    stops = [min(total, round(total * float(part))) for part in np.cumsum(splits)]
  else:
    stops = [int(part) for part in np.cumsum(splits)]
    if stops[-1] > total:
      raise InputError(f"splits {tuple(splits)} ask for {stops[-1]:,} {unit} but there are {total:,}; lower them")
  bounds = dict(zip(NAMES, zip([0, *stops[:-1]], stops, strict=True), strict=True))
  return {name: bound for (name, bound), part in zip(bounds.items(), splits, strict=True) if part > 0}


def stream_splits(
  stream: Shaped[Stored, "positions"],
  length: int,
  splits: Sequence[float | int],
  unit: str,
  table: Shaped[np.ndarray, "values"] | None = None,
  read: Callable[[Shaped[np.ndarray, "n length"]], Batch] | None = None,
) -> tuple[dict[str, Split], dict[str, Shaped[Stored, "_"]]]:
  """Cuts a stream into contiguous splits of sequences; returns them and the parts of the stream they read.

  Raises InputError where a split is shorter than one sequence of `length`.
  """
  if length < 1:
    raise InputError(f"length is {length}; it must be at least 1")
  bounds = split_bounds(len(stream), splits, unit)
  parts = {name: stream[start:stop] for name, (start, stop) in bounds.items()}
  for name, part in parts.items():
    if len(part) < length:
      raise InputError(
        f"the {name} split has {len(part):,} {unit}, less than one sequence of length {length}; "
        f"lower length, change splits or bring more than {len(stream):,} {unit}"
      )
  return {name: stream_split(part, length, table, read) for name, part in parts.items()}, parts


def stream_split(
  stream: Shaped[Stored, "positions"],
  length: int,
  table: Shaped[np.ndarray, "values"] | None = None,
  read: Callable[[Shaped[np.ndarray, "n length"]], Batch] | None = None,
) -> Split:
  """Returns the split of one stream: `examples` are its disjoint chunks (the tail is dropped), `crops` start anywhere.

  Only what is asked for is read of a stream on a disk or in a store. `table` maps its values to categories; `read`
  makes examples of its values where some are not valid.
  """

  def crops(starts: Int[np.ndarray, "n"]) -> Batch:
    x = windows(stream, starts, length)
    if read is not None:
      return read(x)._replace(index=starts)
    return batch_of((x if table is None else table[x]).astype(np.int32), index=starts)

  def examples(numbers: Int[np.ndarray, "n"]) -> Batch:
    return crops(numbers * length)._replace(index=numbers)

  num_crops = max(0, len(stream) - length + 1)
  return Split(len(stream) // length, examples, num_crops, crops, stride=length, whole=read is None)


def windows(
  stream: Shaped[Stored, "positions"], starts: Int[np.ndarray, "n"], length: int
) -> Shaped[np.ndarray, "n length"]:
  """Returns so many values from each start on."""
  if not isinstance(stream, np.ndarray):
    return stream.windows(starts, length)
  return np.lib.stride_tricks.sliding_window_view(stream, length)[starts]


def record_split(
  num_records: int,
  read: Callable[[Int[np.ndarray, "n"]], Batch],
  given: tuple[int, ...] = (),
  *,
  whole: bool = False,
) -> Split:
  """Returns the split of separate records, read by their numbers; they have no other crops.

  Args:
    num_records, read: see `Split`.
    given: see `EventSpec`.
    whole: see `Split`.
  """
  return Split(num_records, read, num_records, read, given=given, whole=whole)


def record_numbers(
  num_records: int,
  splits: Sequence[float | int],
  unit: str,
  content: Callable[[int], bytes],
  recall: Recall = afresh,
) -> dict[str, Int[np.ndarray, "_"]]:
  """Returns the numbers of the records in each split.

  Fractions: the hash of a record's content decides, so that equal records fall into the same split, whatever their
  order, and sizes are near the fractions; it may be remembered. Counts: in the order of the file.
  """
  if not _are_fractions(splits):
    return {name: np.arange(*bound) for name, bound in split_bounds(num_records, splits, unit).items()}
  _check_splits(splits)

  def owners() -> UInt8[np.ndarray, "records"]:
    fractions = np.fromiter((hash_fraction(content(i)) for i in range(num_records)), np.float64, num_records)
    return split_of(fractions, splits).astype(np.uint8)

  owner = recall("the split of each record", owners)
  numbers = {name: np.flatnonzero(owner == i) for i, name in enumerate(NAMES) if splits[i] > 0}
  for name, members in numbers.items():
    if not members.size:
      some = max(1, num_records // 20)
      such = f", such as splits=({num_records - 2 * some}, {some}, {some})" if num_records > 2 else ""
      raise InputError(f"the {name} split got none of the {num_records:,} {unit}; give splits as counts{such}")
  return numbers


def check_split_rule(rule: int) -> None:
  """Raises InputError unless there is such a rule."""
  if rule not in SPLIT_RULES:
    raise InputError(f"split_rule is {rule}; it must be one of {', '.join(map(str, SPLIT_RULES))}")


def as_integers(
  values: Shaped[np.ndarray, "*shape"], known: Bool[np.ndarray, "*shape"] | None = None
) -> UInt32[np.ndarray, "*shape"]:
  """Returns values as rule 3 hashes them: little-endian, modulo 2^32, and 2^32 - 1 where they are not known.

  Neither their type, order in memory and container nor the number of categories changes anything.
  """
  found = np.ascontiguousarray(values, dtype=np.dtype("<u4"))
  return found if known is None else np.where(known, found, np.uint32(2**32 - 1)).astype("<u4")


def hash_fraction(content: bytes) -> float:
  """Returns a number in [0, 1) that depends on `content` alone: 48 bits of its BLAKE2b hash."""
  return int.from_bytes(hashlib.blake2b(content, digest_size=6).digest(), "big") / 2**48


def split_of(fractions: Shaped[np.ndarray, "n"], splits: Sequence[float | int]) -> Int[np.ndarray, "n"]:
  """Returns 0, 1, 2 for train, validation, test, and 3 for no split, by where numbers in [0, 1) fall."""
  stops = np.cumsum(splits)
  stops[-1] = 1.0 if abs(stops[-1] - 1) < 1e-9 else stops[-1]
  return np.searchsorted(stops, fractions, side="right")


def blocks(array: Shaped[Stored, "n ..."], size: int = BLOCK) -> Iterator[Shaped[np.ndarray, "_ ..."]]:
  """Yields consecutive slices of `array` of about `size` values."""
  step = max(1, size // max(1, int(np.prod(array.shape[1:]))))
  for start in range(0, len(array), step):
    yield np.asarray(array[start : start + step])


def plain_dtype(num_classes: int) -> np.dtype:
  """Returns the little-endian unsigned dtype of fewest bytes that holds all categories."""
  return np.dtype(integer_dtype(num_classes)).newbyteorder("<")


def fingerprint(
  parts: Mapping[str, Iterable[np.ndarray]],
  num_classes: int,
  attributes: Sequence[Attribute] = (),
  given: Mapping[str, Int[np.ndarray, "records attributes"]] | None = None,
) -> str:
  """Returns the SHA-256 (hexadecimal) of each split's name, its integers in order and their number.

  Integers are hashed as the smallest little-endian unsigned type that holds `num_classes` categories, or with
  ANY_INTEGERS as 32 bits, so that how they are stored or read changes nothing. What is given with records follows where
  there is any, with names and values.
  """
  digest = hashlib.sha256()
  dtype = plain_dtype(num_classes)
  for name, arrays in parts.items():
    digest.update(f"{name}\n".encode())
    count = 0
    for array in arrays:
      digest.update(np.ascontiguousarray(array, dtype).data)
      count += array.size
    digest.update(f"\n{count}\n".encode())
  if attributes:
    digest.update(json.dumps(attributes).encode())
  for name, labels in (given or {}).items():
    digest.update(f"given {name}\n".encode())
    digest.update(np.ascontiguousarray(labels, "<u4").data)
  return digest.hexdigest()


def _are_fractions(splits: Sequence[float | int]) -> bool:
  return sum(splits) <= 1 + 1e-9


def _check_splits(splits: Sequence[float | int]) -> None:
  if len(splits) != 3 or not all(0 <= part < math.inf for part in splits) or not sum(splits):
    raise InputError(f"splits {tuple(splits)} must be three numbers >= 0, for train, validation and test")
  if not _are_fractions(splits) and any(part != int(part) for part in splits):
    raise InputError(f"splits {tuple(splits)} must be fractions that sum to at most 1, or whole counts")
