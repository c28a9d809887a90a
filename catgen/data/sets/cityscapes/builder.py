"""TFDS builder of Cityscapes: `Cityscapes(path=..., shape=(32, 64), data_dir=...)`, without TensorFlow.

A record is one label map, the label ids that its file has at the given size, with its number in the order of the
paths. The splits are the official ones; `cityscapes_source` makes of them those of the paper, and categories.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from catgen.data.sets.cityscapes.copies import Copy, label_ids, open_copy
from catgen.data.sets.cityscapes.edition import OFFICIAL


class Cityscapes(tfds.core.GeneratorBasedBuilder):
  """The fine annotations of Cityscapes, one configuration for each size of the maps."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES = {"1.0.0": "Label ids by nearest neighbors."}  # noqa: RUF012
  EDITION = OFFICIAL
  code_path = None  # see `sets.wikipedia.builder`

  def __init__(self, *, path: str | None = None, shape: tuple[int, int] = (32, 64), **keywords: Any):
    self._path, self._shape = path, shape  # before super(), which may already ask for the features
    keywords["config"] = tfds.core.BuilderConfig(name=f"{shape[0]}x{shape[1]}", version=self.VERSION)
    keywords["file_format"] = keywords.get("file_format") or "array_record"  # the only format free of TensorFlow
    super().__init__(**keywords)

  def _info(self) -> tfds.core.DatasetInfo:
    maps = tfds.features.Tensor(shape=self._shape, dtype=np.uint8, encoding=tfds.features.Encoding.ZLIB)
    return tfds.core.DatasetInfo(
      builder=self,
      description="Cityscapes, fine annotations: label ids of the official training and validation maps.",
      features=tfds.features.FeaturesDict({"number": np.int64, "label_ids": maps}),
    )

  def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
    copy = open_copy(self._path, self.EDITION)
    return {split: self._generate_examples(copy, split) for split in copy.files}

  def _generate_examples(self, copy: Copy, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, ids in enumerate(label_ids(copy, split, self._shape)):
      yield number, {"number": number, "label_ids": ids}
