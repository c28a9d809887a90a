"""Integers of any shape: examples are arrays, in files and in the terminal."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from catgen.batches import batch_of
from catgen.data import label_ids
from catgen.evaluation import judges
from catgen.files import writing
from catgen.interfaces import Batch, EventSpec, InputError
from catgen.media import sequences
from catgen.media.medium import (
  HOLE,
  Examples,
  Media,
  chosen_ending,
  integers_of,
  npy_bytes,
  numbered,
  read_array,
  statistics,
  unmarked,
)
from catgen.sources import Codec

ENDING = ".npy"  # of files


def values_media(event: EventSpec, codec: Codec, position: str) -> Media:
  """Returns how arrays of integers are typed, shown, written and counted."""

  labels = label_ids.from_spec(codec.spec)
  ids = range(event.num_classes) if labels.ids is None else labels.ids.tolist()
  names = codec.legend.names if codec.legend else ()

  def typed(examples: Examples) -> Batch:
    return _known(typed_holes(examples), "the example,")

  def typed_holes(examples: Examples) -> Batch:
    array = integers_of(examples, "the example")
    holes, some = array == labels.nothing, 0 if labels.ids is None else int(labels.ids[0])
    known = unmarked(np.stack([codec.encode(each) for each in np.where(holes, some, array)]))
    return batch_of(np.where(holes, HOLE, known.x), holes | known.valid)

  def read(path: str) -> Batch:
    return _known(read_holes(path), f"{path},")

  def read_holes(path: str) -> Batch:
    return _encoded(path, _examples(path), typed_holes)

  def _examples(path: str) -> np.ndarray:
    array = read_array(path)
    array = array[None] if array.shape == event.shape else array
    if array.shape[1:] != event.shape or not len(array):
      shape = " x ".join(map(str, event.shape))
      raise InputError(f"{path} has shape {array.shape}; give one example of {shape}, or several along a first axis")
    return array

  def arrays(batch: Batch) -> list[np.ndarray]:
    return [codec.decode(x, valid) for x, valid in zip(batch.x, batch.valid, strict=True)]

  def written(path: str, batch: Batch) -> None:
    _check_output(path, invalid=False)
    content = npy_bytes(np.stack(arrays(batch)))
    with writing(path) as file:
      file.write(content)

  def compared(sets: Mapping[str, Batch]) -> list[list[str]]:
    return statistics(dict(sets), event.num_classes, position)[0]

  return Media(
    name="arrays",
    typed=typed,
    read=read,
    shown=lambda batch: [str(array) for array in arrays(batch)],
    written=written,
    check_output=_check_output,
    named=partial(numbered, ids=ids, names=names),
    compared=compared,
    baselines=sequences.baselines if len(event.shape) == 1 else None,
    judge=partial(judges.of_sequences, num_classes=event.num_classes) if len(event.shape) == 1 else None,
    read_holes=read_holes,
    typed_holes=typed_holes,
  )


def _check_output(path: str, *, invalid: bool) -> None:
  chosen_ending(path, (ENDING,), for_pipes=ENDING)


def _known(found: Batch, owner: str) -> Batch:
  """Returns examples whose holes do not count. Raises InputError where one has nothing else."""
  known = found.valid & (found.x != HOLE)
  empty = np.flatnonzero(~known.reshape(len(known), -1).any(axis=1))
  if empty.size:
    raise InputError(f"{owner} number {empty[0]}, has no category at all; leave that example out")
  return batch_of(np.where(known, found.x, 0), known)


def _encoded(path: str, array: np.ndarray, typed: Callable[[Examples], Batch]) -> Batch:
  try:
    return typed(array)
  except InputError as error:
    raise InputError(f"{path}: {error}") from error
