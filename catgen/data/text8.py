"""text8: 100 million characters of Wikipedia in 27 symbols."""

from collections.abc import Sequence
from typing import Any

from catgen.data.codecs import TEXT8_ALPHABET
from catgen.data.wikipedia import FRACTIONS, Corpus, corpus_source
from catgen.interfaces import DataSource

CORPUS = Corpus(
  name="text8",
  url="http://mattmahoney.net/dc/text8.zip",
  zip_size=31_344_016,
  size=100_000_000,
  md5="3bea1919949baf155f99411df5fada7e",
  alphabet=TEXT8_ALPHABET,
)


def text8(
  length: int = 256,
  data_dir: str | None = None,
  path: str | None = None,
  max_bytes: int | None = None,
  splits: Sequence[float | int] = FRACTIONS,
) -> DataSource:
  """Returns text8, by default as in the papers: 90, 5 and 5 million characters in sequences of 256, tails dropped.

  Args:
    length: characters of a sequence.
    data_dir: where TFDS keeps its data sets; None: ~/tensorflow_datasets.
    path: a local copy of text8.zip or of the unpacked text8, instead of a download.
    max_bytes: use only so many characters from the beginning, for small runs; results are then not the papers'.
    splits: of train, validation, test, in order: fractions of what is used, or counts of characters.

  Raises InputError where the file can be neither found nor downloaded, or has the wrong size or checksum.
  """
  return corpus_source(CORPUS, _builder, length, data_dir, path, max_bytes, splits)


def _builder() -> Any:
  from catgen.data.wikipedia_builder import Text8

  return Text8
