"""Data sources of integers in arrays: checked, split, and read record by record."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Int, Int32, Shaped

from catgen.batches import batch_of
from catgen.data.codecs import check_range, integer_codec
from catgen.data.labels import GIVEN, Labels, aliased, check_labels
from catgen.data.reading import reading_arrays
from catgen.data.splits import (
  BLOCK,
  NAMES,
  blocks,
  fingerprint,
  plain_dtype,
  record_numbers,
  record_split,
  stream_splits,
)
from catgen.given import sizes_of
from catgen.interfaces import Batch, DataSource, EventSpec, InputError, Legend, Split


def array_source(
  arrays: dict[str, Shaped[np.ndarray, "..."]],
  origin: str,
  num_classes: int | None,
  splits: Sequence[float | int],
  *,
  length: int | None = None,
  legend: Callable[[int], Legend | None] = lambda num_classes: None,
  given: Labels | None = None,
) -> DataSource:
  """Returns the source of arrays as `load_arrays` gives them.

  Args:
    arrays, origin, num_classes, splits, length: see `array_file`.
    legend: (num_classes) -> that of the categories of maps.
    given: the labels of the records, by the same names as the arrays.
  """
  try:
    for name, array in arrays.items():
      check_shape(name, array, next(iter(arrays.values())), length)
    num_classes = _checked_num_classes(arrays, num_classes)
    if given is not None:
      check_labels(given, arrays, length)
    if length is None:
      parts, values, labels = _split_records(arrays, num_classes, splits, given)
    else:
      (parts, values), labels = _split_streams(arrays, length, splits), None
    shape = next(iter(arrays.values())).shape[1:] if length is None else (length,)
    codec = integer_codec(num_classes, shape, legend(num_classes))
  except InputError as error:
    raise InputError(f"{origin}: {error}") from error
  sizes = ", ".join(f"{name} {split.num_examples:,}" for name, split in parts.items())
  attributes = () if given is None else given.attributes
  return DataSource(
    event=EventSpec(shape, num_classes, sizes_of(attributes)),
    splits=parts,
    codec=codec,
    position="pixel" if len(shape) > 1 else "value",
    bytes_per_position=None,
    fingerprint=fingerprint(values, num_classes, attributes, labels),
    description=f"{origin}: {sizes} examples of shape {shape}, {num_classes} categories",
    attributes=attributes,
  )


def load_arrays(path: str) -> dict[str, Shaped[np.ndarray, "..."]]:
  """Returns the arrays of a file by the name of their split, or by "" for one that is still to be split."""
  with reading_arrays(path):
    loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    if isinstance(loaded, np.ndarray):
      return {"": loaded}
    with loaded:
      found = aliased(path, {name: loaded[name] for name in loaded.files if not GIVEN.fullmatch(name)})
  arrays = {name: found[name] for name in NAMES if name in found}
  if not arrays and len(found) == 1:
    return {"": next(iter(found.values()))}
  if not arrays:
    raise InputError(f"{path} has the arrays {', '.join(found) or 'none'}; name them train, validation and test")
  return arrays


def check_shape(
  name: str, array: Shaped[np.ndarray, "..."], first: Shaped[np.ndarray, "..."], length: int | None
) -> None:
  """Raises InputError where an array is no integers, has no data, or does not fit `length` or the first array."""
  title = f"array {name!r}" if name else "the array"
  if array.dtype.kind not in "biu":
    raise InputError(f"{title} has dtype {array.dtype}; integers are needed: convert it")
  if array.ndim == 0 or not array.size:
    raise InputError(f"{title} has shape {array.shape} and no data; the first axis must number examples")
  if length is None and array.ndim == 1:
    raise InputError(f"{title} has one axis; say length=... to cut it into sequences, or give it a second axis")
  if length is not None and array.ndim != 1:
    raise InputError(f"{title} has shape {array.shape}; length is for arrays of one axis only: leave it out")
  if array.shape[1:] != first.shape[1:]:
    raise InputError(f"{title} has examples of shape {array.shape[1:]}, others of {first.shape[1:]}; make them equal")


def _checked_num_classes(arrays: dict[str, np.ndarray], num_classes: int | None) -> int:
  if num_classes is None:
    largest = max(int(block.max()) for array in arrays.values() for block in blocks(array))
    num_classes = max(2, largest + 1)
  for name, array in arrays.items():
    offset = 0
    for block in blocks(array):
      try:
        check_range(block, num_classes, offset)
      except InputError as error:
        raise InputError(f"array {name!r}: {error}" if name else str(error)) from error
      offset += len(block)
  return num_classes


def _split_streams(
  arrays: dict[str, np.ndarray], length: int, splits: Sequence[float | int]
) -> tuple[dict[str, Split], dict[str, Iterator[np.ndarray]]]:
  """Returns the splits of arrays of one axis and, for the fingerprint, their integers."""
  found: dict[str, Split] = {}
  values: dict[str, Iterator[np.ndarray]] = {}
  for name, array in arrays.items():
    whole = [float(name == other) for other in NAMES]
    parts, streams = stream_splits(array, length, whole if name else splits, "values")
    found |= parts
    values |= {part: blocks(stream) for part, stream in streams.items()}
  return found, values


def _split_records(
  arrays: dict[str, np.ndarray], num_classes: int, splits: Sequence[float | int], given: Labels | None
) -> tuple[dict[str, Split], dict[str, Iterator[np.ndarray]], dict[str, np.ndarray] | None]:
  """Returns the splits of arrays of records and, for the fingerprint, their integers and what is given with them."""
  labels = None if given is None else given.numbers
  if "" in arrays:
    single = arrays[""]
    dtype = plain_dtype(num_classes)  # how records are stored does not decide the split
    numbers = record_numbers(len(single), splits, "examples", lambda i: single[i].astype(dtype).tobytes())
    arrays = dict.fromkeys(numbers, single)
    labels = None if labels is None else {name: labels[""][chosen] for name, chosen in numbers.items()}
  else:
    numbers = {name: np.arange(len(array)) for name, array in arrays.items()}
    labels = None if labels is None else {name: labels[name] for name in numbers}
  sizes = () if given is None else sizes_of(given.attributes)
  parts = {
    name: record_split(len(chosen), _reader(arrays[name], chosen, None if labels is None else labels[name]), sizes)
    for name, chosen in numbers.items()
  }
  return parts, {name: _gather(arrays[name], chosen) for name, chosen in numbers.items()}, labels


def _gather(array: np.ndarray, chosen: Int[np.ndarray, "records"]) -> Iterator[np.ndarray]:
  """Yields the chosen records in blocks."""
  for numbers in blocks(chosen, max(1, BLOCK // max(1, array[0].size))):
    yield array[numbers]


def _reader(
  array: np.ndarray, chosen: Int[np.ndarray, "records"], labels: Int32[np.ndarray, "records attributes"] | None
) -> Callable[[Int[np.ndarray, "n"]], Batch]:
  def read(numbers: Int[np.ndarray, "n"]) -> Batch:
    given = None if labels is None else labels[numbers]
    return batch_of(array[chosen[numbers]].astype(np.int32), index=numbers, given=given)

  return read
