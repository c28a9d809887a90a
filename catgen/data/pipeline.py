"""From splits to batches: the batch of a step is a pure function of (seed, step), whoever reads it.

Nothing has to be saved to resume, and any number of processes reads the same global batch: process p of n takes the
p-th of n equal slices of it.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Int, Int64, UInt64

from catgen.interfaces import Batch, InputError
from catgen.sources import Split

CROPS, ORDER, STREETS, SQUARES, RING, SETS = range(6)  # purposes of random numbers, so that they are independent
NUM_ROUNDS = 8
Element = TypeVar("Element")


def train_batch(
  split: Split,
  *,
  seed: int,
  step: int,
  batch_size: int,
  crops: bool,
  streams: bool = False,
  process_index: int = 0,
  process_count: int = 1,
) -> Batch:
  """Returns this process's part of the global batch of a step; `index` is the position in the global batch.

  Args:
    split: what to read.
    seed: at least 0; another seed gives other batches.
    step: at least 0.
    batch_size: of the global batch, a multiple of process_count.
    crops: True: crops drawn uniformly with replacement. False: the fixed examples, each once per epoch, in an order
      that differs between epochs; an epoch may end and the next begin inside a batch.
    streams: each place of the batch reads a part of its own of a stream, the fixed examples in order, from its
      beginning again when all parts have ended; `continues` says where. `crops` and `seed` then decide nothing.
    process_index, process_count: which slice of the global batch is read.
  """
  index = _own_slice(batch_size, process_index, process_count)
  if streams:
    return _read_on(split, step, batch_size, index)
  if crops:
    # random_raw and not integers(): NumPy keeps the former stable from version to version
    words = np.random.Philox(seed_sequence(CROPS, seed, step)).random_raw(batch_size)
    numbers = (words % np.uint64(split.num_crops)).astype(np.int64)[index]
    batch = split.crops(numbers)
  else:
    batch = split.examples(shuffled(seed, step * batch_size + index, split.num_examples))
  return batch._replace(index=index)


class Walk:
  """Batches whose number is known, and of which each is read when its turn comes: a split need not fit in memory."""

  def __init__(self, read: Callable[[int], Batch], number: int):
    """Takes what reads a batch, by its number from 0, and how many there are."""
    self._read, self._number = read, number

  def __len__(self) -> int:
    """Returns how many batches there are."""
    return self._number

  def __iter__(self) -> Iterator[Batch]:
    """Reads the batches, one after the other."""
    return map(self._read, range(self._number))


def eval_batches(
  split: Split,
  *,
  batch_size: int,
  process_index: int = 0,
  process_count: int = 1,
  limit: int | None = None,
) -> Walk:
  """Returns this process's parts of the global batches that walk the split, or its first `limit` examples, once.

  `index` is the number in the split. Every process gets equally many batches of equal size; those past the end
  are filled with examples that are not valid anywhere and given nothing, whose `index` goes on counting.
  """
  own, stop = _own_slice(batch_size, process_index, process_count), _num_walked(split, limit)
  return _walk(split.examples, stop, batch_size, own, split.given)


def context_batches(
  split: Split,
  *,
  context: int,
  batch_size: int,
  process_index: int = 0,
  process_count: int = 1,
  limit: int | None = None,
) -> Walk:
  """Returns this process's parts of the global batches of windows that score a stream once, with context before it.

  The first window scores all its L positions. Each later one begins `context` positions before the first that no window
  has scored yet, reads those and scores the L - context after them. All positions of `eval_batches` are scored, and no
  others: what the last window has beyond them is not valid. `index` is the number of the window.

  Args:
    split: a stream.
    context: 0 to L - 1; with 0 these are `eval_batches`. Windows cost L / (L - context) times as much.
    batch_size, process_index, process_count: as there.
    limit: positions of the first so many examples; None = all.

  Raises:
    InputError: the split has separate records, which have no neighbors, or the context fills the window.
  """
  if context == 0:
    return eval_batches(
      split, batch_size=batch_size, process_index=process_index, process_count=process_count, limit=limit
    )
  length = split.stride
  if length is None:
    raise InputError(f"context is {context}, but this data set has separate records without neighbors; set it to 0")
  if not 0 < context < length:
    raise InputError(
      f"context is {context}; it must be 0 to {length - 1}, less than the {length} positions of a window"
    )
  own, total = _own_slice(batch_size, process_index, process_count), _num_walked(split, limit) * length
  step = length - context
  columns = np.arange(length)

  def windows(numbers: Int[np.ndarray, "n"]) -> Batch:
    batch, inside = _cut(split, numbers * step, length, total), numbers[:, None] * step + columns[None] < total
    scored = (columns[None] >= context) | (numbers[:, None] == 0)
    return batch._replace(scored=inside & scored)

  return _walk(windows, 1 - (length - total) // step, batch_size, own, split.given)


def stream_batches(
  split: Split,
  *,
  segment: int = 0,
  batch_size: int,
  process_index: int = 0,
  process_count: int = 1,
  limit: int | None = None,
) -> Walk:
  """Returns this process's parts of the global batches of segments that read a stream on, each scored once.

  The positions of `eval_batches` are cut into segments, and these into `batch_size` parts of equally many that follow
  one another; batch t has the t-th segment of every part. `index` is the number of the segment, `continues` says that
  it is not the first of its part. What the last segment has beyond the positions is not valid.

  Args:
    split: a stream.
    segment: positions, 1 to L; 0 = L, those of an example.
    batch_size: how many parts are read at the same time.
    process_index, process_count, limit: as in `context_batches`.

  Raises:
    InputError: the split has separate records, which do not continue one another, or a segment is longer than L.
  """
  length = _length_of_stream(split, "a memory")
  if not 0 <= segment <= length:
    raise InputError(
      f"segment is {segment}; it must be 1 to the {length} positions of an example, or 0 for all of them"
    )
  width, total = segment or length, _num_walked(split, limit) * length
  own, count = _own_slice(batch_size, process_index, process_count), -(-total // width)
  per_part = -(-count // batch_size)

  def batch(step: int) -> Batch:
    numbers = own * per_part + step
    found = _emptied(_cut(split, np.minimum(numbers, count - 1) * width, width, total), numbers >= count, split.given)
    return found._replace(index=numbers, continues=np.full(len(own), step > 0))

  return Walk(batch, per_part)


def _cut(split: Split, start: Int[np.ndarray, "n"], width: int, total: int) -> Batch:
  """Returns the positions from each start on of a stream's first `total`; what lies behind them is not valid."""
  length = split.stride or 0
  read = np.minimum(start, total - length)
  columns = np.arange(width)[None] + (start - read)[:, None]
  batch, inside = split.crops(read), columns < length
  x, valid = (np.take_along_axis(array, columns % length, axis=1) for array in (batch.x, batch.valid))
  return batch._replace(x=np.where(inside, x, np.int32(0)), valid=inside & valid)


def _read_on(split: Split, step: int, batch_size: int, index: Int64[np.ndarray, "local"]) -> Batch:
  """See `train_batch`, `streams`."""
  _length_of_stream(split, "training.streams")
  per_part = split.num_examples // batch_size
  if not per_part:
    raise InputError(
      f"{batch_size} streams need as many sequences, but there are {split.num_examples:,}; lower training.batch_size"
    )
  place = step % per_part
  return split.examples(index * per_part + place)._replace(index=index, continues=np.full(len(index), place > 0))


def _length_of_stream(split: Split, what: str) -> int:
  if split.stride is None:
    raise InputError(
      f"{what} needs a stream, but this data set has separate records, which do not continue one another"
    )
  return split.stride


def prefetch(function: Callable[[int], Element], start: int, stop: int, depth: int) -> Iterator[Element]:
  """Yields function(start), ..., function(stop - 1) in this order, computed up to `depth` elements ahead.

  In training these are the batches of the steps from `start` on.

  Grain's threads compute them, so `function` must be pure; what it raises is raised here in its turn. Closing the
  iterator, or forgetting it, ends the threads. With depth 0 elements are computed when they are asked for.
  """
  import grain

  options = grain.ReadOptions(num_threads=min(depth, 2), prefetch_buffer_size=depth)
  elements = iter(grain.MapDataset.range(start, stop).map(function).to_iter_dataset(options))
  try:
    yield from elements
  finally:
    elements.close()


def shuffled(seed: int, positions: Int64[np.ndarray, "n"], size: int) -> Int64[np.ndarray, "n"]:
  """Returns which of `size` examples stand at positions of an endless sequence of shuffled epochs.

  Position p belongs to epoch p // size. Within an epoch the map is a permutation that is computed point by point, by
  a Feistel network on the next power of four and walking along its cycle until the result is below `size` (Black
  and Rogaway, 2002, "Ciphers with arbitrary finite domains"); no array of the data set's size is needed.
  """
  numbers = np.empty_like(positions)
  for epoch in np.unique(positions // size):
    inside = positions // size == epoch
    keys = seed_sequence(ORDER, seed, int(epoch)).generate_state(NUM_ROUNDS, np.uint64)
    numbers[inside] = _permute((positions[inside] % size).astype(np.uint64), size, keys).astype(np.int64)
  return numbers


def seed_sequence(purpose: int, seed: int, number: int) -> np.random.SeedSequence:
  """Returns the seed of the random numbers of one thing: a step, an epoch, an example."""
  if seed < 0:
    raise InputError(f"seed is {seed}; it must be at least 0")
  return np.random.SeedSequence((purpose, seed, number))


def _permute(values: UInt64[np.ndarray, "n"], size: int, keys: UInt64[np.ndarray, "rounds"]) -> UInt64[np.ndarray, "n"]:
  half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
  values = _feistel(values, half, keys)
  outside = values >= size
  while outside.any():
    values[outside] = _feistel(values[outside], half, keys)
    outside = values >= size
  return values


def _feistel(
  values: UInt64[np.ndarray, "n"], half: np.uint64, keys: UInt64[np.ndarray, "rounds"]
) -> UInt64[np.ndarray, "n"]:
  """Returns a permutation of the numbers of 2 * half bits: each round mixes one half into the other."""
  mask = (np.uint64(1) << half) - np.uint64(1)
  left, right = values >> half, values & mask
  for key in keys:
    left, right = right, left ^ (_mix(right + key) & mask)
  return (left << half) | right


def _mix(values: UInt64[np.ndarray, "n"]) -> UInt64[np.ndarray, "n"]:
  """Returns well-mixed 64-bit words (the finalizer of SplitMix64; sums and products wrap around)."""
  values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
  values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
  return values ^ (values >> np.uint64(31))


def _num_walked(split: Split, limit: int | None) -> int:
  if limit is not None and limit < 1:
    raise InputError(f"limit is {limit}; it must be at least 1, or None for the whole split")
  return split.num_examples if limit is None else min(limit, split.num_examples)


def _walk(
  read: Callable[[Int[np.ndarray, "n"]], Batch],
  stop: int,
  batch_size: int,
  own: Int64[np.ndarray, "local"],
  given: tuple[int, ...],
) -> Walk:
  """Returns what `read` gives of the numbers below `stop`, in batches of one size, the last one padded."""

  def batch(number: int) -> Batch:
    index = number * batch_size + own
    return _emptied(read(np.minimum(index, stop - 1)), index >= stop, given)._replace(index=index)

  return Walk(batch, -(-stop // batch_size))


def _emptied(batch: Batch, absent: Bool[np.ndarray, "batch"], given: tuple[int, ...]) -> Batch:
  """Returns the batch with padding in place of the examples that are absent."""

  def filled(array: np.ndarray | None, value: Any) -> np.ndarray | None:
    return None if array is None else np.where(absent.reshape(-1, *(1,) * (array.ndim - 1)), value, array)

  return Batch(
    filled(batch.x, np.int32(0)),
    filled(batch.valid, False),
    batch.index,
    scored=filled(batch.scored, False),
    given=filled(batch.given, np.array(given, np.int32)),
  )


def _own_slice(batch_size: int, process_index: int, process_count: int) -> Int64[np.ndarray, "local"]:
  if not 1 <= batch_size < 2**31 or batch_size % process_count:
    raise InputError(
      f"batch size {batch_size} must be a positive multiple of the {process_count} processes, less than 2^31"
    )
  local = batch_size // process_count
  return np.arange(process_index * local, (process_index + 1) * local)
