"""Data sets that are computed and not stored: an example is a pure function of (seed, its number)."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64, Int, UInt8

from catgen.batches import batch_of
from catgen.data.codecs import integer_codec
from catgen.data.pipeline import seed_sequence
from catgen.data.splits import NAMES, blocks, fingerprint, record_split
from catgen.interfaces import Batch, DataSource, EventSpec, InputError, Legend, Split

STRIDE = 2**40  # between the first numbers of two splits, which so have no example in common
HASHED = 2**19  # positions of every split that the fingerprint covers: 256 maps of 32 x 64

Render = Callable[[Int[np.ndarray, "n"]], UInt8[np.ndarray, "n height width"]]


def map_source(
  render: Render, *, shape: Sequence[int], splits: Sequence[float | int], legend: Legend, description: str
) -> DataSource:
  """Returns the source of the maps that `render` makes from their numbers.

  Args:
    render: numbers -> maps, of which the second split's are counted from 2^40 and the third's from 2^41.
    shape: (height, width).
    splits: how many maps train, validation and test have.
    legend: of the categories.
    description: of the origin.

  The fingerprint covers the sizes of the splits and about the first half million pixels of each.
  """
  if len(splits) != 3 or any(part != int(part) or part < 0 for part in splits) or not sum(splits):
    raise InputError(f"splits {tuple(splits)} must be three whole counts of maps, for train, validation and test")
  counts = {name: int(count) for name, count in zip(NAMES, splits, strict=True) if count}
  num_classes, shape = len(legend.names), tuple(shape)
  hashed = {}
  for name, count in counts.items():
    numbers = np.arange(min(count, -(-HASHED // (shape[0] * shape[1])))) + _start(name)
    hashed[f"{name} {count}"] = (render(block) for block in blocks(numbers, 32))
  return DataSource(
    event=EventSpec(shape, num_classes),
    splits={name: _split(render, name, count) for name, count in counts.items()},
    codec=integer_codec(num_classes, shape, legend),
    position="pixel",
    bytes_per_position=None,
    fingerprint=fingerprint(hashed, num_classes),
    description=description,
  )


def uniforms(purpose: int, seed: int, numbers: Int[np.ndarray, "n"], count: int) -> Float64[np.ndarray, "n count"]:
  """Returns `count` uniform numbers on [0, 1) for every example, multiples of 2^-53.

  Of random_raw, which NumPy keeps stable from version to version.
  """
  words = [np.random.Philox(seed_sequence(purpose, seed, int(number))).random_raw(count) for number in numbers]
  return (np.stack(words) >> np.uint64(11)) * 2.0**-53


def _split(render: Render, name: str, count: int) -> Split:
  def read(numbers: Int[np.ndarray, "n"]) -> Batch:
    return batch_of(render(numbers + _start(name)).astype(np.int32), index=numbers)

  return record_split(count, read, whole=True)


def _start(name: str) -> int:
  return NAMES.index(name) * STRIDE
