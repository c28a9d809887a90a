"""What the keys of data sets fix of their examples: enough to cost a run whose data are not there.

Functions of all keys of a kind, which return None where only the data can tell.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from catgen.batches import batch_of
from catgen.data.characters import TEXT8_ALPHABET
from catgen.data.codecs import integer_codec
from catgen.data.sets.cityscapes.source import check_keys
from catgen.interfaces import Batch, EventSpec, InputError
from catgen.sources import DataSource, Split

_EXAMPLES = 2**20  # of a stand-in; none exists


class Known(NamedTuple):
  """What examples are, without one of them."""

  event: EventSpec
  position: str


def text(*, length: int, alphabet: str, end: bool = False, label_column: int | None = None, **_: Any) -> Known | None:
  """Returns what examples of a text are, [length] characters or bytes; None where the text gives alphabet or labels."""
  if alphabet == "infer" or label_column is not None:
    return None
  if length < 1:
    raise InputError(f"length is {length}; it must be at least 1")
  characters = TEXT8_ALPHABET if alphabet == "text8" else alphabet
  number = 256 if alphabet == "bytes" else len(characters)
  position = "position" if end else "byte" if alphabet == "bytes" else "character"
  return Known(EventSpec((length,), number + end), position)


def text8(*, length: int, as_bytes: bool, **_: Any) -> Known | None:
  """Returns what examples of text8 are: [length] of 27 characters, or bytes."""
  return text(length=length, alphabet="bytes" if as_bytes else "text8")


def enwik8(*, length: int, **_: Any) -> Known | None:
  """Returns what examples of enwik8 are: [length] bytes."""
  return text(length=length, alphabet="bytes")


def cityscapes(*, classes: int, shape: Sequence[int], **_: Any) -> Known | None:
  """Returns what examples of Cityscapes are: maps [height, width] of 8 categories or 34 classes."""
  return Known(EventSpec(check_keys(classes, shape), classes), "pixel")


def label_maps(
  *,
  path: str,
  num_classes: int | None,
  shape: Sequence[int] | None,
  relabel: bool,
  ignore: Sequence[int],
  labels: str | None,
  **_: Any,
) -> Known | None:
  """Returns what label maps are, [height, width]; None where the maps give their size, categories or labels."""
  if num_classes is None or shape is None or relabel or labels is not None or path.endswith(".npz"):
    return None
  return Known(EventSpec((int(shape[0]), int(shape[1])), num_classes, ignores=bool(ignore)), "pixel")


def array_file(
  *, path: str, num_classes: int | None, length: int | None, relabel: bool, ignore: Sequence[int], **_: Any
) -> Known | None:
  """Returns what sequences cut from a stream of integers are; None where the arrays give their size or categories."""
  if num_classes is None or length is None or relabel or path.endswith(".npz"):
    return None
  return Known(EventSpec((length,), num_classes, ignores=bool(ignore)), "value")


def stand_in(known: Known, name: str) -> DataSource:
  """Returns a source of examples of zeros in the place of those of the data set `name`, for shapes alone."""
  event = known.event
  stride = event.shape[0] if len(event.shape) == 1 else None  # as of a stream

  def read(numbers: Int[np.ndarray, "n"]) -> Batch:
    return batch_of(np.zeros((len(numbers), *event.shape), np.int32), index=numbers)

  return DataSource(
    event=event,
    splits={"train": Split(_EXAMPLES, read, _EXAMPLES, read, stride=stride, whole=not event.ignores)},
    codec=integer_codec(event.num_classes, event.shape),
    position=known.position,
    bytes_per_position=None,
    fingerprint="",
    description=f"{name} (not read: the configuration already says what an example is)",
  )
