"""How often categories touch in a split, for models that ask for it."""

import numpy as np

from catgen.data.frequencies import spread_batches
from catgen.interfaces import InputError
from catgen.sources import Split

_MOST_CLASSES = 256


def touching_of(split: Split, num_classes: int) -> tuple[float, ...]:
  """Returns how often each pair of categories a < b stands side by side in a split, along any axis; they sum to one.

  The pairs are in the order (0, 1), (0, 2), ..., (1, 2), ..., each counted once more than it occurs. Positions that are
  not valid touch nothing. What is read is what `frequencies_of` reads.

  Raises:
    InputError: there are more than 256 categories.
  """
  if num_classes > _MOST_CLASSES:
    raise InputError(
      f"pairs of neighbors are counted of at most {_MOST_CLASSES} categories, and there are {num_classes}"
    )
  counts = np.zeros(num_classes**2, np.int64)
  for batch in spread_batches(split):
    x, valid = np.asarray(batch.x, np.int64), np.asarray(batch.valid)
    for axis in range(1, x.ndim):
      along, known = np.moveaxis(x, axis, -1), np.moveaxis(valid, axis, -1)
      codes = along[..., :-1] * num_classes + along[..., 1:]
      counts += np.bincount(codes[known[..., :-1] & known[..., 1:]], minlength=num_classes**2)
  both = counts.reshape(num_classes, num_classes)
  pairs = (both + both.T)[np.triu_indices(num_classes, 1)] + 1
  return tuple((pairs / pairs.sum()).tolist())
