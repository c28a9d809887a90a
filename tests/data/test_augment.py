"""Augmentation: crops of the training split are its maps, flipped and moved; nothing else changes."""

import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.data.augment import augmented, shifted
from catgen.data.pipeline import train_batch
from catgen.data.sets.squares import squares
from catgen.data.splits import record_split

MAPS = np.random.default_rng(0).integers(0, 5, (3, 6, 7)).astype(np.int32)
SPLIT = record_split(3, lambda numbers: batch_of(MAPS[numbers]))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shift", [(0, 0), (2, 1), (0, 3)])
def test_crops_are_flip_then_pad_then_crop(flip, shift):
  split = shifted(SPLIT, flip, shift)
  expected = []
  for example in MAPS:
    for mirrored in [False, True][: 1 + flip]:
      padded = np.pad(example[:, ::-1] if mirrored else example, [(part, part) for part in shift], mode="edge")
      for down in range(2 * shift[0] + 1):
        expected += [padded[down : down + 6, right : right + 7] for right in range(2 * shift[1] + 1)]
  assert split.num_crops == len(expected)
  x, valid, *_ = split.crops(np.arange(split.num_crops))
  # a mirrored map is moved after it was mirrored
  np.testing.assert_array_equal(x, expected)
  assert valid.all()
  assert (split.num_examples, split.examples) == (SPLIT.num_examples, SPLIT.examples)


def test_only_training_is_augmented_and_the_middle_crop_is_the_map():
  source = squares(splits=(10, 10, 10))
  changed = augmented(source, flip=True, shift=(4, 2))
  assert changed.splits["train"].num_crops == 10 * 2 * 9 * 5
  middle = np.arange(10) * 2 * 9 * 5 + 4 * 5 + 2
  np.testing.assert_array_equal(
    changed.splits["train"].crops(middle).x, source.splits["train"].examples(np.arange(10)).x
  )
  assert changed.splits["test"] is source.splits["test"]
  assert augmented(source, flip=False, shift=(0, 0)) is source
  batch = train_batch(changed.splits["train"], seed=0, step=0, batch_size=8, crops=True)
  assert batch.x.shape == (8, 16, 16)
