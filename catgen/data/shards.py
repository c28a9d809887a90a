"""Integers of many .npy files, one after another along the first axis, as one array that is read on demand."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Int64, Shaped

from catgen import remote

_SPARSEST = 32  # records that are read for each one that is wanted, where they are read in order


class Shard(NamedTuple):
  """A file: mapped into memory, or, in a store, from where on its values are."""

  path: str
  mapped: Shaped[np.ndarray, "records ..."] | None
  offset: int
  shape: tuple[int, ...]
  dtype: np.dtype


class Shards:
  """What NumPy's arrays have as far as data sources need it: slices are views; numbers, and `np.asarray`, read.

  Files of a store are read by ranges of bytes, those of a batch at the same time, and nothing is kept of them.
  """

  def __init__(self, files: Sequence[Shard], start: int = 0, stop: int | None = None) -> None:
    self._files = files
    self._ends: Int64[np.ndarray, "files"] = np.cumsum([file.shape[0] for file in files])
    self._start, self._stop = start, int(self._ends[-1]) if stop is None else stop
    self.dtype = files[0].dtype
    self.shape = (self._stop - self._start, *files[0].shape[1:])
    self.ndim, self.size = len(self.shape), int(np.prod(self.shape))

  def __len__(self) -> int:
    return self.shape[0]

  def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    return np.asarray(self._read([(0, len(self))])[0], dtype)

  def __getitem__(self, where: Any) -> Any:
    """Returns a view for a slice of step one, a record for a number, and an array for an array of numbers."""
    if isinstance(where, slice):
      start, stop, _ = where.indices(len(self))
      return Shards(self._files, self._start + start, self._start + max(start, stop))
    if np.ndim(where) == 0:
      return self._read([(int(where), int(where) + 1)])[0][0]
    numbers = np.asarray(where)
    if numbers.ndim == 1 and numbers.size and _are_close(numbers):
      start = int(numbers[0])
      return self._read([(start, int(numbers[-1]) + 1)])[0][numbers - start]
    return self.windows(numbers.reshape(-1), 1).reshape(*numbers.shape, *self.shape[1:])

  def windows(self, starts: Int[np.ndarray, "n"], length: int) -> Shaped[np.ndarray, "n length ..."]:
    """Returns so many records from each start on."""
    rows = self._read([(start, start + length) for start in starts.tolist()])
    return np.stack(rows) if rows else np.zeros((0, length, *self.shape[1:]), self.dtype)

  def _read(self, ranges: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """Returns the records of ranges, each from as many files as it touches."""
    pieces = [self._pieces(self._start + start, self._start + stop) for start, stop in ranges]
    found = iter(_fetched([piece for each in pieces for piece in each]))
    read = [[next(found) for _ in each] for each in pieces]
    return [np.concatenate(parts) if len(parts) != 1 else np.asarray(parts[0]) for parts in read]

  def _pieces(self, start: int, stop: int) -> list[tuple[Shard, int, int]]:
    first = int(np.searchsorted(self._ends, start, side="right"))
    pieces: list[tuple[Shard, int, int]] = []
    for number in range(first, len(self._files)):
      before = int(self._ends[number]) - self._files[number].shape[0]
      if before >= stop and pieces:
        break
      own = max(0, start - before), max(0, min(stop - before, self._files[number].shape[0]))
      pieces.append((self._files[number], *own))
    return pieces


def _are_close(numbers: Int[np.ndarray, "n"]) -> bool:
  """Returns whether numbers ascend so closely that all between them may be read too."""
  return bool((np.diff(numbers) > 0).all() and numbers[-1] - numbers[0] < _SPARSEST * len(numbers))


Stored = np.ndarray | Shards  # where a data source has its integers


def _fetched(pieces: Sequence[tuple[Shard, int, int]]) -> list[np.ndarray]:
  """Returns records of files; those of a store are fetched at the same time."""
  asked = []
  for file, start, stop in pieces:
    if file.mapped is None:
      size = int(np.prod(file.shape[1:])) * file.dtype.itemsize
      asked.append((file.path, file.offset + start * size, file.offset + stop * size))
  fetched = iter(remote.ranges(asked))
  found = []
  for file, start, stop in pieces:
    if file.mapped is None:
      found.append(np.frombuffer(next(fetched), file.dtype).reshape(stop - start, *file.shape[1:]))
    else:
      found.append(file.mapped[start:stop])
  return found
