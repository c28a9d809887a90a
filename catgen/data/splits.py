"""Splits: where a data set is cut, how streams and records are read, and the fingerprint of the result."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped, UInt8, UInt32

from catgen.batches import batch_of
from catgen.data.integers import integer_dtype
from catgen.data.remembered import Recall, afresh
from catgen.data.shards import Stored
from catgen.interfaces import Batch, InputError
from catgen.sources import Attribute, DataSource, Split

NAMES = ("train", "validation", "test")
# What of a record fractions hash. 1: its bytes as they are stored (until commit 7d560fe). 2: its integers in the fewest
# bytes that hold num_classes. 3: its integers alone, see `as_integers`. 4: as 3, and which copy of them it is, so that
# copies go apart and each split is a sample of the same law. A rule never changes: runs were split by it.
SPLIT_RULES = (1, 2, 3, 4)
SPLIT_RULE = 4  # of new runs
INTEGERS_ALONE, COPIES_APART = 3, 4  # the first rules that do so
UNNAMED_RULES = SPLIT_RULES[:3]  # of runs whose record names none, which are of times before rule 4
ANY_INTEGERS = 2**32  # num_classes under which a fingerprint does not depend on it: that of rules 3 and 4
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
  *,
  rule: int = SPLIT_RULE,
  beside: Sequence[Callable[[int], bytes]] = (),
  fill: bool = True,
) -> dict[str, Int[np.ndarray, "_"]]:
  """Returns the numbers of the records in each split.

  Fractions: the hash of a record's content decides, whatever the order of the records, and sizes are near the
  fractions. By rule 4 the second copy of a content, the third and so on have hashes of their own, and an empty split
  gets the record whose hash is nearest, where there are enough; by earlier rules equal records fall into the same
  split. All this may be remembered. Counts: in the order of the file.

  Args:
    num_records: how many there are.
    splits: of train, validation and test, see `split_bounds`.
    unit: what is counted, and where, for messages ("lines of a.txt").
    content: record number, from 0 -> what is hashed, as the caller's rule says.
    recall: what remembers the result.
    rule: one of SPLIT_RULES.
    beside: record number -> what records of equal content may still differ in, such as their labels, so that it does
      not depend on their order either which of them is the first copy; what counts most comes first.
    fill: whether rule 4 fills empty splits; no where one record may be most of the data.

  Raises:
    InputError: a split with a share gets no record, or `splits` are neither fractions nor counts that there are.
  """
  if not _are_fractions(splits):
    return {name: np.arange(*bound) for name, bound in split_bounds(num_records, splits, unit).items()}
  _check_splits(splits)

  def owners() -> UInt8[np.ndarray, "records"]:
    fractions = np.fromiter((hash_fraction(content(i)) for i in range(num_records)), np.float64, num_records)
    if rule < COPIES_APART:
      return split_of(fractions, splits).astype(np.uint8)
    fractions = _with_copies_apart(fractions, content, beside)
    owner = split_of(fractions, splits)
    return (_none_empty(owner, fractions, splits) if fill else owner).astype(np.uint8)

  owner = recall("the split of each record", owners)
  numbers = {name: np.flatnonzero(owner == i) for i, name in enumerate(NAMES) if splits[i] > 0}
  for name, members in numbers.items():
    if not members.size:
      raise InputError(f"the {name} split got none of the {num_records:,} {unit}; {_advice(num_records, rule)}")
  return numbers


def _with_copies_apart(
  fractions: Float64[np.ndarray, "records"],
  content: Callable[[int], bytes],
  beside: Sequence[Callable[[int], bytes]],
) -> Float64[np.ndarray, "records"]:
  """Returns the fraction of each record, that of a second copy being a hash of its content and of the number 1.

  Only contents that repeat are hashed again, and none is kept: a record takes some tens of bytes for a while.
  """
  order = np.argsort(fractions, kind="stable")
  equal = np.diff(fractions[order]) == 0
  repeated = np.sort(order[np.append(equal, False) | np.append(False, equal)])
  if not repeated.size:
    return fractions
  same = fractions[repeated]
  keys, *ties = (
    np.fromiter((_key(of(i)) for i in repeated.tolist()), np.uint64, repeated.size) for of in (content, *beside)
  )
  order = np.lexsort((*ties[::-1], keys, same))
  begins = np.append(True, (np.diff(keys[order]) != 0) | (np.diff(same[order]) != 0))
  first = np.flatnonzero(begins)  # copies of each content, in `order`
  copy = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
  later = order[copy > 0]
  words = [keys[later], same[later].astype("<f8").view("<u8"), copy[copy > 0]]
  hashed, size = np.stack(words, axis=1, dtype="<u8", casting="unsafe").tobytes(), 8 * len(words)
  found = fractions.copy()
  found[repeated[later]] = np.fromiter(
    (hash_fraction(hashed[at : at + size]) for at in range(0, len(hashed), size)), np.float64, later.size
  )
  return found


def _none_empty(
  owner: Int[np.ndarray, "records"], fractions: Float64[np.ndarray, "records"], splits: Sequence[float | int]
) -> Int[np.ndarray, "records"]:
  """Returns owners, an empty split with a share having the record nearest to the middle of it, of others' second ones.

  So few records can be split by fractions, too, by their hashes alone.
  """
  stops = np.cumsum(splits)
  for i, share in enumerate(splits):
    if share > 0 and not (owner == i).any():
      counts = np.bincount(owner, minlength=len(NAMES) + 1)
      spare = np.flatnonzero((counts[owner] > 1) | (owner == len(NAMES)))
      if spare.size:
        owner[spare[np.argmin(np.abs(fractions[spare] - (stops[i] - share / 2)))]] = i
  return owner


def _advice(num_records: int, rule: int) -> str:
  """Returns what to do where fractions leave a split empty."""
  some = max(1, num_records // 20)
  such = f", such as splits=({num_records - 2 * some}, {some}, {some})" if num_records > 2 else ""
  counts = f"give splits as counts{such}, which go by the order of the file"
  if rule < COPIES_APART and num_records > 2:
    return f"say split_rule={COPIES_APART}, by which equal ones do not stay together, or {counts}"
  return f"{counts}, or bring more"


def check_split_rule(rule: int, rules: Sequence[int] = SPLIT_RULES) -> None:
  """Raises InputError unless a rule is among those that a kind of data has."""
  if rule not in rules:
    raise InputError(f"split_rule is {rule}; it must be one of {', '.join(map(str, rules))}")


def as_integers(
  values: Shaped[np.ndarray, "*shape"], known: Bool[np.ndarray, "*shape"] | None = None
) -> UInt32[np.ndarray, "*shape"]:
  """Returns values as rules 3 and 4 hash them: little-endian, modulo 2^32, and 2^32 - 1 where they are not known.

  Neither their type, order in memory and container nor the number of categories changes anything.
  """
  found = np.ascontiguousarray(values, dtype=np.dtype("<u4"))
  return found if known is None else np.where(known, found, np.uint32(2**32 - 1)).astype("<u4")


def hash_fraction(content: bytes) -> float:
  """Returns a number in [0, 1) that depends on `content` alone: 48 bits of its BLAKE2b hash."""
  return int.from_bytes(hashlib.blake2b(content, digest_size=6).digest(), "big") / 2**48


def _key(content: bytes) -> int:
  """Returns 64 bits of a hash that is another than that of `hash_fraction`."""
  return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


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
