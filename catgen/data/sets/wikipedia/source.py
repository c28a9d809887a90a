"""text8, Wikipedia in 27 characters, and enwik8, a dump of it with its markup, bytes: 100 million, split 90/5/5."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from catgen.data.characters import character_table
from catgen.data.codecs import alphabet_codec, byte_codec
from catgen.data.prepared import prepare
from catgen.data.reading import open_bytes
from catgen.data.sets.wikipedia.corpus import ENWIK8, FRACTIONS, TEXT8, Corpus, verify
from catgen.data.splits import blocks, fingerprint, stream_splits
from catgen.interfaces import EventSpec, InputError
from catgen.sources import DataSource


def text8(
  length: int = 256,
  data_dir: str | None = None,
  path: str | None = None,
  max_bytes: int | None = None,
  splits: Sequence[float | int] = FRACTIONS,
  as_bytes: bool = False,
) -> DataSource:
  """Returns text8, by default as in the papers: 90, 5 and 5 million characters in sequences of 256, tails dropped.

  Args:
    length: characters of a sequence.
    data_dir: where TFDS keeps its data sets; None: ~/tensorflow_datasets.
    path: a local copy of text8.zip or of the unpacked text8, instead of a download.
    max_bytes: use only so many characters from the beginning, for small runs; results are then not the papers'.
    splits: of train, validation, test, in order: fractions of what is used, or counts of characters.
    as_bytes: 256 categories, of which 27 occur, for models that are not told the alphabet; what they give to the others
      is lost.

  Raises InputError where the file can be neither found nor downloaded, or has the wrong size or checksum.
  """
  corpus = TEXT8._replace(alphabet=None) if as_bytes else TEXT8
  return corpus_source(corpus, _text8_builder, length, data_dir, path, max_bytes, splits)


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
  return corpus_source(ENWIK8, _enwik8_builder, length, data_dir, path, max_bytes, splits)


def corpus_source(
  corpus: Corpus,
  builder: Callable[[], Any],
  length: int,
  data_dir: str | None,
  path: str | None,
  max_bytes: int | None,
  splits: Sequence[float | int],
) -> DataSource:
  """Returns the data source of a corpus, in sequences of `length` characters, or bytes where it has no alphabet.

  Arguments as in `text8`; `builder()` returns the class of its TFDS builder.

  An unpacked file given by `path` is memory-mapped. Otherwise TFDS prepares the data set once, from the zip given by
  `path` or from the official address, and later calls read what it wrote to `data_dir`.
  """
  if path is not None and not path.lower().endswith(".zip"):
    stream = open_bytes(path).data
    verify(stream, corpus, path)
  else:
    stream = _prepared(builder(), corpus, data_dir, path)
  if max_bytes is not None and not 0 < max_bytes <= corpus.size:
    raise InputError(f"max_bytes is {max_bytes}; it must be 1 to {corpus.size:,}, or None for all of {corpus.name}")
  stream = stream[:max_bytes]
  table = None if corpus.alphabet is None else character_table(corpus.alphabet)[:256]
  num_classes = 256 if corpus.alphabet is None else len(corpus.alphabet)
  position = "byte" if corpus.alphabet is None else "character"
  parts, values = stream_splits(stream, length, splits, f"{position}s of {corpus.name}", table)
  pieces = {name: (block if table is None else table[block] for block in blocks(part)) for name, part in values.items()}
  return DataSource(
    event=EventSpec((length,), num_classes),
    splits=parts,
    codec=byte_codec() if corpus.alphabet is None else alphabet_codec(corpus.alphabet),
    position=position,
    bytes_per_position=1.0,
    fingerprint=fingerprint(pieces, num_classes),
    description=f"{corpus.name}: first {len(stream):,} of {corpus.size:,} {position}s",
  )


def _prepared(builder_class: Any, corpus: Corpus, data_dir: str | None, path: str | None) -> UInt8[np.ndarray, "bytes"]:
  """Returns the stream that TFDS has prepared, or prepares now: the records of all splits, joined by their offset."""
  builder = builder_class(path=path, data_dir=data_dir)
  prepare(builder)
  stream = np.zeros(corpus.size, np.uint8)
  for split in builder.info.splits:
    for record in builder.as_data_source(split=split):
      stream[record["offset"] : record["offset"] + len(record["block"])] = record["block"]
  verify(stream, corpus, str(builder.data_dir))
  return stream


def _text8_builder() -> Any:
  from catgen.data.sets.wikipedia.builder import Text8

  return Text8


def _enwik8_builder() -> Any:
  from catgen.data.sets.wikipedia.builder import Enwik8

  return Enwik8
