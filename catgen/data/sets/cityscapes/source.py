"""Cityscapes: the fine annotations of your own, licensed copy, as maps of 8 categories or 34 classes.

The data set may not be passed on, so nothing downloads it: register on the Cityscapes web site, get the archive
gtFine_trainvaltest.zip there, and give its path or that of the folder that it was unpacked to.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from catgen.data.arrays import array_source
from catgen.data.augment import augmented
from catgen.data.legends import CATEGORIES, CLASSES, LABELS
from catgen.data.prepared import prepare
from catgen.data.sets.cityscapes.edition import LICENSE_PLATE, OFFICIAL, Edition
from catgen.interfaces import InputError
from catgen.sources import DataSource

SIZES = ((32, 64), (128, 256))


def cityscapes(
  path: str | None = None,
  data_dir: str | None = None,
  classes: int = 8,
  shape: Sequence[int] = (32, 64),
  flip: bool = True,
  shift: Sequence[int] = (2, 4),
) -> DataSource:
  """Returns Cityscapes: 2500 maps to train on, 475 for validation, 500 (the official validation maps) for the test.

  The official training maps are ordered by their path, city first, so that validation is the same 475 everywhere. Maps
  become smaller by nearest neighbors (`nearest`), which at both sizes is also what Pillow does, and then categories.

  Args:
    path: gtFine_trainvaltest.zip, or the folder that holds its folder gtFine; needed once, TFDS keeps the result.
    data_dir: where TFDS keeps its data sets; None: ~/tensorflow_datasets.
    classes: 8: the global categories, void among them. 34: the label ids 0 to 33. A license plate (-1, where a file
      has it at all) is a vehicle among 8 and a car among 34.
    shape: height and width in pixels, (32, 64) or (128, 256).
    flip, shift: augmentation of the training split, see `augmented`.

  Raises InputError where the copy is missing, incomplete or damaged.
  """
  source = cityscapes_source(OFFICIAL, _builder, path=path, data_dir=data_dir, classes=classes, shape=shape)
  return augmented(source, flip=flip, shift=shift)


def cityscapes_source(
  edition: Edition,
  builder: Callable[[], Any],
  *,
  path: str | None,
  data_dir: str | None,
  classes: int,
  shape: Sequence[int],
) -> DataSource:
  """Returns the source of an edition, without augmentation: maps [height, width] of label ids or categories.

  Arguments as in `cityscapes`; `builder()` returns the class of its builder.
  """
  size = check_keys(classes, shape)
  prepared = builder()(path=path, shape=size, data_dir=data_dir)
  prepare(prepared)
  table = category_table(classes)
  train, test = (table[_label_ids(prepared, split)] for split in ("train", "val"))
  cut = len(train) - edition.num_validation
  arrays = {"train": train[:cut], "validation": train[cut:], "test": test}
  legend = CATEGORIES if classes == 8 else CLASSES
  # rule 2, so that the SHA-256 of these maps stays what it was
  return array_source(arrays, "Cityscapes", classes, (0.9, 0.05, 0.05), legend=lambda *_: legend, split_rule=2)


def check_keys(classes: int, shape: Sequence[int]) -> tuple[int, int]:
  """Returns height and width in pixels; raises InputError for what Cityscapes does not come in."""
  if classes not in (8, len(LABELS)):
    raise InputError(f"classes is {classes}; choose 8 (categories) or {len(LABELS)} (label ids)")
  size = tuple(shape)
  if size not in SIZES:
    raise InputError(f"shape is {size}; choose (32, 64) or (128, 256), or read the folder by label_maps")
  return size


def category_table(classes: int) -> UInt8[np.ndarray, "256"]:
  """Returns the category of every label id; ids that do not exist, which the builder refuses, have 0."""
  table = np.zeros(256, np.uint8)
  names = [label.name for label in LABELS]
  table[: len(LABELS)] = [label.category for label in LABELS] if classes == 8 else range(len(LABELS))
  table[LICENSE_PLATE] = table[names.index("car")]
  return table


def _label_ids(builder: Any, split: str) -> UInt8[np.ndarray, "maps height width"]:
  """Returns the maps that TFDS has stored, in the order of their numbers."""
  records = sorted(builder.as_data_source(split=split), key=lambda record: record["number"])
  return np.stack([record["label_ids"] for record in records])


def _builder() -> Any:
  from catgen.data.sets.cityscapes.builder import Cityscapes

  return Cityscapes
