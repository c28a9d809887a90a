"""Integers of any shape: examples are arrays, in files and in the terminal."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from catgen.batches import batch_of
from catgen.files import writing
from catgen.interfaces import Batch, Codec, EventSpec, InputError
from catgen.media import sequences
from catgen.media.medium import HOLE, Examples, Media, read_array, statistics


def values_media(event: EventSpec, codec: Codec, position: str) -> Media:
  """Returns how arrays of integers are typed, shown, written and counted."""

  def typed(examples: Examples) -> Batch:
    return batch_of(np.stack([codec.encode(each) for each in examples]))

  def read(path: str) -> Batch:
    return batch_of(_encoded(path, _examples(path), typed))

  def read_holes(path: str) -> Batch:
    array = _examples(path)
    known = _encoded(path, np.where(array == HOLE, 0, array), typed)
    return batch_of(np.where(array == HOLE, HOLE, known))

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
    with writing(path) as file:
      np.save(file, np.stack(arrays(batch)))

  def compared(sets: Mapping[str, Batch]) -> list[list[str]]:
    return statistics(dict(sets), event.num_classes, position)[0]

  return Media(
    name="arrays",
    typed=typed,
    read=read,
    shown=lambda batch: [str(array) for array in arrays(batch)],
    written=written,
    compared=compared,
    baselines=sequences.baselines if len(event.shape) == 1 else None,
    read_holes=read_holes,
  )


def _encoded(path: str, array: np.ndarray, typed: Any) -> np.ndarray:
  try:
    return typed(array).x
  except InputError as error:
    raise InputError(f"{path}: {error}") from error
