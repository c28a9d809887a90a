"""Integers as files, for the cases of data."""

import numpy as np

from catgen.batches import batch_of

FRACTIONS = (0.8, 0.1, 0.1)
ALL = (1.0, 0.0, 0.0)
NUMBERS = np.arange(90 * 12, dtype=np.int64)
MAPS = ((NUMBERS * 2654435761 % 2**32 >> 13) % 5).reshape(90, 3, 4)  # five categories, by arithmetic alone


def saved(path, array):
  np.save(path, array) if path.suffix == ".npy" else np.savez(path, array)
  return str(path)


def in_folder(folder, maps, names=None):
  from PIL import Image

  for i, ids in enumerate(maps):
    path = folder / (names[i] if names else f"{i:02}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ids.astype(np.uint8)).save(path)
  return str(folder)


def whole(source):
  """Returns the examples of all splits, in order."""
  parts = [split.examples(np.arange(split.num_examples)) for split in source.splits.values()]
  return batch_of(np.concatenate([part.x for part in parts]), np.concatenate([part.valid for part in parts]))


def sizes(source):
  return tuple(split.num_examples for split in source.splits.values())
