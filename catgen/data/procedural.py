"""Data sets that are computed and not stored: an example is a pure function of (seed, its number)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int, Integer, UInt8

from catgen.batches import batch_of
from catgen.data.codecs import integer_codec
from catgen.data.label_ids import PLAIN, LabelIds
from catgen.data.pipeline import seed_sequence
from catgen.data.splits import NAMES, blocks, fingerprint, record_split
from catgen.interfaces import Batch, EventSpec, InputError
from catgen.sources import Attribute, Codec, DataSource, Legend, Split

STRIDE = 2**40  # between the first numbers of two splits, which so have no example in common
HASHED = 2**19  # pixels of every split that the fingerprint covers: 256 maps of 32 x 64
HASHED_ROWS = 1024  # of every split

Render = Callable[[Int[np.ndarray, "n"]], UInt8[np.ndarray, "n height width"]]
Compute = Callable[[Int[np.ndarray, "n"]], Integer[np.ndarray, "n *event"]]


class Labelled(NamedTuple):
  """A label of each map that the map itself tells."""

  attribute: Attribute
  numbers: Callable[[UInt8[np.ndarray, "n height width"]], Int[np.ndarray, "n"]]  # of the attribute's values


def map_source(
  render: Render,
  *,
  shape: Sequence[int],
  splits: Sequence[float | int],
  legend: Legend,
  description: str,
  labelled: Labelled | None = None,
) -> DataSource:
  """Returns the source of the maps that `render` makes from their numbers.

  Args:
    render: numbers -> maps, of which the second split's are counted from 2^40 and the third's from 2^41.
    shape: (height, width).
    splits: how many maps train, validation and test have.
    legend: of the categories.
    description: of the origin.
    labelled: what is given with each map; None: nothing.

  The fingerprint covers the sizes of the splits and about the first half million pixels of each.
  """
  event = EventSpec(tuple(shape), len(legend.names), () if labelled is None else (len(labelled.attribute.values),))
  codec = integer_codec(event.num_classes, event.shape, legend)
  hashed = -(-HASHED // (shape[0] * shape[1]))
  return _source(
    render,
    event,
    splits,
    codec,
    position="pixel",
    unit="maps",
    hashed=hashed,
    description=description,
    labelled=labelled,
  )


def unmoved(labelled: Labelled, shift: Sequence[int]) -> Labelled:
  """Returns the label. Raises InputError where maps are shifted, and what it names might leave the map."""
  if any(shift):
    raise InputError(
      f"shift {tuple(shift)} moves maps, and what they are labelled by out of them; leave shift or labels out"
    )
  return labelled


def value_source(
  compute: Compute, event: EventSpec, *, splits: Sequence[float | int], labels: LabelIds = PLAIN, description: str
) -> DataSource:
  """Returns the source of the rows of values that `compute` makes from their numbers.

  Args:
    compute: numbers -> categories, numbered as the maps of `map_source` are.
    event: of a row.
    splits: how many rows train, validation and test have.
    labels: which value each category is.
    description: of the origin.

  The fingerprint covers the sizes of the splits and the first thousand rows of each.
  """
  codec = integer_codec(event.num_classes, event.shape, labels=labels)
  return _source(
    compute, event, splits, codec, position="value", unit="rows", hashed=HASHED_ROWS, description=description
  )


def _source(
  compute: Compute,
  event: EventSpec,
  splits: Sequence[float | int],
  codec: Codec,
  *,
  position: str,
  unit: str,
  hashed: int,
  description: str,
  labelled: Labelled | None = None,
) -> DataSource:
  """Returns the source of what is computed; `hashed`: how many examples of a split the fingerprint covers."""
  if len(splits) != 3 or any(part != int(part) or part < 0 for part in splits) or not sum(splits):
    raise InputError(f"splits {tuple(splits)} must be three whole counts of {unit}, for train, validation and test")
  counts = {name: int(count) for name, count in zip(NAMES, splits, strict=True) if count}
  parts, attributes = {}, () if labelled is None else (labelled.attribute,)
  for name, count in counts.items():
    numbers = np.arange(min(count, hashed)) + _start(name)
    parts[f"{name} {count}"] = (compute(block) for block in blocks(numbers, 32))
  return DataSource(
    event=event,
    splits={name: _split(compute, name, count, event.given, labelled) for name, count in counts.items()},
    codec=codec,
    position=position,
    bytes_per_position=None,
    fingerprint=fingerprint(parts, event.num_classes, attributes),
    description=description,
    attributes=attributes,
  )


def uniforms(purpose: int, seed: int, numbers: Int[np.ndarray, "n"], count: int) -> Float64[np.ndarray, "n count"]:
  """Returns `count` uniform numbers on [0, 1) for every example, multiples of 2^-53.

  Of random_raw, which NumPy keeps stable from version to version.
  """
  words = [np.random.Philox(seed_sequence(purpose, seed, int(number))).random_raw(count) for number in numbers]
  return (np.stack(words) >> np.uint64(11)) * 2.0**-53


def _split(compute: Compute, name: str, count: int, given: tuple[int, ...], labelled: Labelled | None) -> Split:
  def read(numbers: Int[np.ndarray, "n"]) -> Batch:
    x = compute(numbers + _start(name))
    labels = None if labelled is None else labelled.numbers(x).astype(np.int32)[:, None]
    return batch_of(x.astype(np.int32), index=numbers, given=labels)

  return record_split(count, read, given, whole=True)


def _start(name: str) -> int:
  return NAMES.index(name) * STRIDE
