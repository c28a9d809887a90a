"""Augmentation of label maps: mirrored and shifted copies as the crops of a split."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from catgen.interfaces import Batch, InputError
from catgen.sources import DataSource, Split


def augmented(source: DataSource, *, flip: bool, shift: Sequence[int]) -> DataSource:
  """Returns `source` with a training split whose crops are flipped and shifted; all else is as it was.

  Args:
    source: of maps, [height, width].
    flip: add the mirror image, left to right, of every map.
    shift: (vertical, horizontal): the most pixels by which maps are moved, up and down, left and right. What comes
      in at a border repeats the border.

  Training reads crops, drawn uniformly, where the key training.crops is true; evaluation reads examples.
  """
  shape = source.event.shape
  if len(shape) != 2:
    raise InputError(f"maps of two axes are needed, not examples of shape {shape}; read others by array_file")
  if len(shift) != 2 or not all(0 <= part < size for part, size in zip(shift, shape, strict=True)):
    raise InputError(
      f"shift {tuple(shift)} must be (vertical, horizontal) pixels, from 0 to less than the size {shape}"
    )
  if "train" not in source.splits or not (flip or any(shift)):
    return source
  return source._replace(splits={**source.splits, "train": shifted(source.splits["train"], flip, (shift[0], shift[1]))})


def shifted(split: Split, flip: bool, shift: tuple[int, int]) -> Split:
  """Returns a split of the same examples whose crops are their copies.

  Crop ((example * flips + mirrored) * rows + down) * columns + right, with flips = 1 + flip, rows = 2 * vertical + 1
  and columns = 2 * horizontal + 1, has at (i, j) what the example, mirrored if so, has at
  (i + down - vertical, j + right - horizontal).
  """
  rows, columns = (2 * part + 1 for part in shift)
  copies = (1 + flip) * rows * columns

  def crops(numbers: Int[np.ndarray, "n"]) -> Batch:
    example, copy = np.divmod(numbers, copies)
    mirrored, place = np.divmod(copy, rows * columns)
    down, right = np.divmod(place, columns)
    maps = split.examples(example)
    _, height, width = maps.x.shape
    i = np.clip(np.arange(height) + (down - shift[0])[:, None], 0, height - 1)
    j = np.clip(np.arange(width) + (right - shift[1])[:, None], 0, width - 1)
    j = np.where(mirrored[:, None] == 1, width - 1 - j, j)
    source = (np.arange(len(numbers))[:, None, None], i[:, :, None], j[:, None, :])
    return maps._replace(x=maps.x[source], valid=maps.valid[source], index=numbers)

  return split._replace(num_crops=split.num_examples * copies, crops=crops)
