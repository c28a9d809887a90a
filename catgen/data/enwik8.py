"""enwik8: the first 100 million bytes of a dump of Wikipedia, markup included."""

from collections.abc import Sequence
from typing import Any

from catgen.data.wikipedia import FRACTIONS, Corpus, corpus_source
from catgen.interfaces import DataSource

CORPUS = Corpus(
  name="enwik8",
  url="http://mattmahoney.net/dc/enwik8.zip",
  zip_size=36_445_475,
  size=100_000_000,
  md5="a1fa5ffddb56f4953e226637dabbb36a",
  alphabet=None,
)


def enwik8(
  length: int = 320,
  data_dir: str | None = None,
  path: str | None = None,
  max_bytes: int | None = None,
  splits: Sequence[float | int] = FRACTIONS,
) -> DataSource:
  """Returns enwik8, by default as in the papers: 90, 5 and 5 million bytes in sequences of 320. See `text8`.

  Args:
    length: bytes of a sequence.
    data_dir: where TFDS keeps its data sets; None: ~/tensorflow_datasets.
    path: a local copy of enwik8.zip or of the unpacked enwik8, instead of a download.
    max_bytes: use only so many bytes from the beginning, for small runs; results are then not the papers'.
    splits: of train, validation, test, in order: fractions of what is used, or counts of bytes.
  """
  return corpus_source(CORPUS, _builder, length, data_dir, path, max_bytes, splits)


def _builder() -> Any:
  from catgen.data.wikipedia_builder import Enwik8

  return Enwik8
