"""Data sources of integers in arrays: checked, split, and read record by record."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int32, Int64, Shaped

from catgen.data.codecs import integer_codec
from catgen.data.frequencies import untrained
from catgen.data.integers import check_range
from catgen.data.label_ids import (
  FEW_CATEGORIES,
  LabelIds,
  UsedIds,
  are_valid,
  number_of_categories,
  relabelled,
  to_batch,
  used_ids,
)
from catgen.data.labels import GIVEN, Labels, aliased, check_labels, labels_of
from catgen.data.numpy_files import read_arrays
from catgen.data.remembered import Recall, afresh
from catgen.data.shards import Stored
from catgen.data.splits import (
  ANY_INTEGERS,
  BLOCK,
  INTEGERS_ALONE,
  NAMES,
  SPLIT_RULE,
  as_integers,
  blocks,
  check_split_rule,
  fingerprint,
  plain_dtype,
  record_numbers,
  record_split,
  stream_splits,
)
from catgen.given import sizes_of
from catgen.interfaces import Batch, EventSpec, InputError
from catgen.sources import DataSource, Legend, Split

Ids = Int64[np.ndarray, "classes"]


def array_source(
  arrays: Mapping[str, Shaped[Stored, "..."]],
  origin: str,
  num_classes: int | None,
  splits: Sequence[float | int],
  *,
  length: int | None = None,
  legend: Callable[[int, Ids | None], Legend | None] = lambda num_classes, ids: None,
  given: Labels | None = None,
  ignore: Sequence[int] = (),
  relabel: bool = False,
  split_rule: int = SPLIT_RULE,
  recall: Recall = afresh,
) -> DataSource:
  """Returns the source of arrays as `load_arrays` gives them.

  Args:
    arrays, origin, num_classes, splits, length, ignore, relabel, split_rule: see `array_file`.
    legend: (num_classes, the id of each category where they are relabelled) -> that of the categories of maps.
    given: the labels of the records, by the same names as the arrays.
    recall: what remembers the results of reading all of them.
  """
  try:
    _check_rule(split_rule, ignore, relabel)
    for name, array in arrays.items():
      check_shape(name, array, next(iter(arrays.values())), length)
    meaning, num_classes, gaps = _meaning(arrays, num_classes, tuple(ignore), relabel, split_rule, recall)
    if given is not None:
      check_labels(given, arrays, length)
    hashed = _Hashed(split_rule, num_classes, meaning)
    if length is None:
      parts, values, labels = _split_records(arrays, hashed, splits, given, recall)
    else:
      (parts, values), labels = _split_streams(arrays, hashed, length, splits), None
    shape = next(iter(arrays.values())).shape[1:] if length is None else (length,)
    codec = integer_codec(num_classes, shape, legend(num_classes, meaning.ids), meaning)
  except InputError as error:
    raise InputError(f"{origin}: {error}") from error
  attributes = () if given is None else given.attributes
  missing = np.zeros(0, int)
  if num_classes <= FEW_CATEGORIES:  # of more, such as tokens, some are always rare
    missing = recall("untrained", lambda: np.array(untrained(parts, num_classes), int))
  hashes = recall("SHA-256", lambda: np.array(fingerprint(values, hashed.num_values, attributes, labels)))
  return DataSource(
    event=EventSpec(shape, num_classes, sizes_of(attributes), bool(ignore)),
    splits=parts,
    codec=codec,
    position="pixel" if len(shape) > 1 else "value",
    bytes_per_position=None,
    fingerprint=str(hashes),
    description=f"{origin}: {sum(split.num_examples for split in parts.values()):,} examples{gaps}",
    attributes=attributes,
    warnings=_told(missing if meaning.ids is None else meaning.ids[missing], codec.legend, missing),
  )


def load_arrays(path: str) -> dict[str, Shaped[np.ndarray, "..."]]:
  """Returns the arrays of a file by the name of their split, or by "" for one that is still to be split."""
  loaded = read_arrays(path, lambda name: not GIVEN.fullmatch(name))
  if isinstance(loaded, np.ndarray):
    return {"": loaded}
  found = aliased(path, loaded)
  arrays = {name: found[name] for name in NAMES if name in found}
  if not arrays and len(found) == 1:
    return {"": next(iter(found.values()))}
  if not arrays:
    raise InputError(f"{path} has the arrays {', '.join(found) or 'none'}; name them train, validation and test")
  return arrays


def check_shape(name: str, array: Shaped[Stored, "..."], first: Shaped[Stored, "..."], length: int | None) -> None:
  """Raises InputError where an array is no integers, has no data, or does not fit `length` or the first array."""
  title = f"array {name!r}" if name else "the array"
  if array.dtype.kind not in "biu":
    whole = array.dtype.kind == "f" and bool(array.size) and all((block % 1 == 0).all() for block in blocks(array))
    how = ", by array.astype(int), since all its values are whole numbers" if whole else ""
    raise InputError(f"{title} has dtype {array.dtype}; integers are needed: convert it{how}")
  if array.ndim == 0 or not array.size:
    raise InputError(f"{title} has shape {array.shape} and no data; the first axis must number examples")
  if length is None and array.ndim == 1:
    raise InputError(f"{title} has one axis; say length=... to cut it into sequences, or give it a second axis")
  if length is not None and array.ndim != 1:
    raise InputError(f"{title} has shape {array.shape}; length is for arrays of one axis only: leave it out")
  if array.shape[1:] != first.shape[1:]:
    raise InputError(f"{title} has examples of shape {array.shape[1:]}, others of {first.shape[1:]}; make them equal")


class _Hashed(NamedTuple):
  """What of records splits by fractions and the fingerprint hash; see `splits.SPLIT_RULES`."""

  rule: int
  num_classes: int
  meaning: LabelIds

  @property
  def are_wide(self) -> bool:
    """Whether ids have more than 32 bits."""
    ids = self.meaning.ids
    return ids is not None and not 0 <= ids[0] <= ids[-1] < 2**32 - 1

  @property
  def num_values(self) -> int:
    """What the fingerprint takes for the number of categories."""
    return ANY_INTEGERS if self.rule >= INTEGERS_ALONE else self.num_classes

  def integers(self, stored: Shaped[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "..."]:
    """Returns the integers that the fingerprint covers; ids of more than 32 bits are two words."""
    if self.rule < INTEGERS_ALONE:
      return stored
    words = self._words(stored)
    if not self.are_wide:
      return words
    high = as_integers(stored.astype(np.int64) >> 32)
    return np.stack([words, np.where(are_valid(stored, self.meaning.ignore), high, np.uint32(2**31))], axis=-1)

  def _words(self, stored: Shaped[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "*shape"]:
    ignore = self.meaning.ignore
    return as_integers(stored, are_valid(stored, ignore) if ignore else None)

  def contents(self, records: Shaped[Stored, "records *event"]) -> Callable[[int], bytes]:
    """Returns what gives, by the number of a record, what decides its split."""
    if self.rule == 1:
      return lambda i: records[i].tobytes()
    if self.rule == 2:
      dtype = plain_dtype(self.num_classes)
      return lambda i: records[i].astype(dtype).tobytes()
    return _by_number(records, self._words)

  def beside(
    self, records: Shaped[Stored, "records *event"], labels: Int32[np.ndarray, "records attributes"] | None
  ) -> list[Callable[[int], bytes]]:
    """Returns what gives, by the number of a record, what equal contents differ in: all bits of wide ids, labels."""
    found = [_by_number(records, self.integers)] if self.are_wide else []
    return found if labels is None else [*found, labels_of(labels)]


def _by_number(
  records: Shaped[Stored, "records *event"], of: Callable[[np.ndarray], np.ndarray]
) -> Callable[[int], bytes]:
  """Returns what gives the bytes of `of(record)` by a record's number, best in ascending order: blocks are read."""
  step = max(1, BLOCK // records[0].size)

  @functools.lru_cache(maxsize=1)
  def block(number: int) -> np.ndarray:
    return of(np.asarray(records[number * step : (number + 1) * step]))

  return lambda i: block(i // step)[i % step].tobytes()


def _check_rule(rule: int, ignore: Sequence[int], relabel: bool) -> None:
  check_split_rule(rule)
  if rule < INTEGERS_ALONE and (ignore or relabel):
    raise InputError(f"split_rule {rule} is of versions that had neither ignore nor relabel; leave split_rule out")


def _meaning(
  arrays: Mapping[str, Stored],
  num_classes: int | None,
  ignore: tuple[int, ...],
  relabel: bool,
  rule: int,
  recall: Recall,
) -> tuple[LabelIds, int, str]:
  """Returns which id is which category, their number, and a hint where some of them do not occur."""

  def walk() -> Iterator[np.ndarray]:
    return (block for array in arrays.values() for block in blocks(array))

  used = UsedIds.unpacked(recall("used ids", lambda: used_ids((walk(), walk()), ignore).packed()))
  if relabel:
    ids = relabelled(used, num_classes)
    return LabelIds(ids, ignore), len(ids), ""
  if rule < INTEGERS_ALONE and num_classes is None:
    num_classes = max(2, used.largest + 1)  # versions of those rules had no bound
  number = number_of_categories(used, num_classes)
  if used.smallest < 0 or used.largest >= number:
    _refuse_outside(arrays, number, ignore)
  few = used.ids is not None and len(used.ids) < number
  return LabelIds(None, ignore), number, f", {used.number} of {number:,} ids occur" if few else ""


def _told(
  ids: Int64[np.ndarray, "missing"], legend: Legend | None, categories: Int64[np.ndarray, "missing"]
) -> tuple[str, ...]:
  """Returns the warning about ids that no training example has, with the names that a legend gives their categories."""
  if not ids.size:
    return ()
  names = ids if legend is None else [legend.names[i] for i in categories]
  some = [str(i) if str(i) == str(name) else f"{i} ({name})" for i, name in zip(ids, names, strict=True)]
  shown = ", ".join(some[:8]) + (f" and {len(some) - 8} more" if len(some) > 8 else "")
  which = f"{'id' if ids.size == 1 else 'ids'} {shown}"
  return (
    f"no training example has the {which}, so that nothing is learned of what other splits have there; move examples"
    " that have it into the training split",
  )


def _refuse_outside(arrays: Mapping[str, Stored], num_classes: int, ignore: tuple[int, ...]) -> None:
  """Raises InputError that names the first value outside [0, num_classes)."""
  for name, array in arrays.items():
    offset = 0
    for block in blocks(array):
      try:
        check_range(np.where(are_valid(block, ignore), block, block.dtype.type(0)), num_classes, offset)
      except InputError as error:
        remedy = "; ids that mean no category are named by ignore=..., others numbered by relabel=true"
        raise InputError((f"array {name!r}: {error}" if name else str(error)) + remedy) from error
      offset += len(block)


def _split_streams(
  arrays: Mapping[str, Stored], hashed: _Hashed, length: int, splits: Sequence[float | int]
) -> tuple[dict[str, Split], dict[str, Iterator[np.ndarray]]]:
  """Returns the splits of arrays of one axis and, for the fingerprint, their integers."""
  found: dict[str, Split] = {}
  values: dict[str, Iterator[np.ndarray]] = {}
  for name, array in arrays.items():
    whole = [float(name == other) for other in NAMES]
    parts, streams = stream_splits(
      array, length, whole if name else splits, "values", read=lambda stored: to_batch(stored, hashed.meaning)
    )
    found |= {part: split._replace(whole=not hashed.meaning.ignore) for part, split in parts.items()}
    values |= {part: map(hashed.integers, blocks(stream)) for part, stream in streams.items()}
  return found, values


def _split_records(
  arrays: Mapping[str, Stored],
  hashed: _Hashed,
  splits: Sequence[float | int],
  given: Labels | None,
  recall: Recall,
) -> tuple[dict[str, Split], dict[str, Iterator[np.ndarray]], dict[str, np.ndarray] | None]:
  """Returns the splits of arrays of records and, for the fingerprint, their integers and what is given with them."""
  labels = None if given is None else given.numbers
  if "" in arrays:
    single = arrays[""]
    beside = hashed.beside(single, None if labels is None else labels[""])
    content, rule = hashed.contents(single), hashed.rule
    numbers = record_numbers(len(single), splits, "examples", content, recall, rule=rule, beside=beside)
    arrays = dict.fromkeys(numbers, single)
    labels = None if labels is None else {name: labels[""][chosen] for name, chosen in numbers.items()}
  else:
    numbers = {name: np.arange(len(array)) for name, array in arrays.items()}
    labels = None if labels is None else {name: labels[name] for name in numbers}
  sizes = () if given is None else sizes_of(given.attributes)
  parts = {}
  for name, chosen in numbers.items():
    read = _reader(arrays[name], chosen, hashed.meaning, None if labels is None else labels[name])
    parts[name] = record_split(len(chosen), read, sizes, whole=not hashed.meaning.ignore)
  gathered: dict[str, Iterator[np.ndarray]] = {
    name: map(hashed.integers, _gather(arrays[name], chosen)) for name, chosen in numbers.items()
  }
  return parts, gathered, labels


def _gather(array: Stored, chosen: Int[np.ndarray, "records"]) -> Iterator[np.ndarray]:
  """Yields the chosen records in blocks."""
  for numbers in blocks(chosen, max(1, BLOCK // max(1, array[0].size))):
    yield array[numbers]


def _reader(
  array: Stored,
  chosen: Int[np.ndarray, "records"],
  meaning: LabelIds,
  labels: Int32[np.ndarray, "records attributes"] | None,
) -> Callable[[Int[np.ndarray, "n"]], Batch]:
  def read(numbers: Int[np.ndarray, "n"]) -> Batch:
    given = None if labels is None else labels[numbers]
    return to_batch(array[chosen[numbers]], meaning)._replace(index=numbers, given=given)

  return read
