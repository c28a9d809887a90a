"""TFDS builders of text8 and enwik8: `Text8(path=..., data_dir=...)`, without TensorFlow.

A record is a block of at most a million consecutive bytes of the official file with its offset in that file, so
that a reader in any order can join the stream again; random crops need it. The splits are those of the papers.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8

from catgen.data.sets.wikipedia.corpus import ENWIK8, FRACTIONS, TEXT8, unpack
from catgen.data.splits import NAMES, split_bounds

BLOCK = 1_000_000  # bytes


class Text8(tfds.core.GeneratorBasedBuilder):
  """text8 in blocks of bytes; the categories are those of `catgen.data.sets.wikipedia.source`."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES = {"1.0.0": "Blocks of a million bytes."}  # noqa: RUF012
  CORPUS = TEXT8
  # where TFDS would look for checksums of its own, by a package (importlib_resources) that it does not install
  code_path = None

  def __init__(self, *, path: str | None = None, **keywords: Any):
    self._path = path  # before super(), which may already ask for the splits
    keywords["file_format"] = keywords.get("file_format") or "array_record"  # the only format free of TensorFlow
    super().__init__(**keywords)

  def _info(self) -> tfds.core.DatasetInfo:
    block = tfds.features.Tensor(shape=(None,), dtype=np.uint8)
    return tfds.core.DatasetInfo(
      builder=self,
      description=f"{self.CORPUS.name}, {self.CORPUS.size:,} bytes from {self.CORPUS.url}",
      homepage="http://mattmahoney.net/dc/textdata.html",
      features=tfds.features.FeaturesDict({"offset": np.int64, "block": block}),
    )

  def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
    # TFDS's own download retries for minutes where there is no network, and needs TensorFlow to unpack
    data = unpack(self.CORPUS, self._path)
    bounds = split_bounds(self.CORPUS.size, FRACTIONS, "bytes")
    return {name: self._generate_examples(data, *bounds[name]) for name in NAMES}

  def _generate_examples(
    self, data: UInt8[np.ndarray, "bytes"], start: int, stop: int
  ) -> Iterator[tuple[int, dict[str, Any]]]:
    for offset in range(start, stop, BLOCK):
      yield offset, {"offset": offset, "block": data[offset : min(offset + BLOCK, stop)]}


class Enwik8(Text8):
  """enwik8 in blocks of bytes."""

  CORPUS = ENWIK8
