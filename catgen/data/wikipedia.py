"""The 100 MB of the English Wikipedia of 3 March 2006 that text8 and enwik8 are: verified, split 90/5/5."""

import hashlib
import io
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from catgen.data.codecs import alphabet_codec, byte_codec, character_table
from catgen.data.file_bytes import existing_file, open_bytes
from catgen.data.prepared import prepare
from catgen.data.splits import blocks, fingerprint, stream_splits
from catgen.interfaces import DataSource, EventSpec, InputError

FRACTIONS = (0.9, 0.05, 0.05)


class Corpus(NamedTuple):
  """An official file: where it is, and how it is known to be whole."""

  name: str  # also of the file inside the zip
  url: str
  zip_size: int  # bytes
  size: int  # bytes, unpacked
  md5: str  # of the unpacked file
  alphabet: str | None  # None: all 256 byte values


def corpus_source(
  corpus: Corpus,
  builder: Callable[[], Any],
  length: int,
  data_dir: str | None,
  path: str | None,
  max_bytes: int | None,
  splits: Sequence[float | int],
) -> DataSource:
  """Returns the data source of a corpus; arguments as in `text8`. `builder()` returns the class of its TFDS builder.

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


def verify(data: UInt8[np.ndarray, "bytes"], corpus: Corpus, origin: str) -> None:
  """Raises InputError where `data` is not the official file of `corpus`."""
  if data.size != corpus.size:
    raise InputError(
      f"{origin} has {data.size:,} bytes, {corpus.name} has {corpus.size:,}; fetch it again from {corpus.url}, "
      'or read another file by "text_file"'
    )
  digest = hashlib.md5(usedforsecurity=False)
  for block in blocks(data):
    digest.update(block.data)
  if digest.hexdigest() != corpus.md5:
    raise InputError(
      f"{origin} is damaged: its MD5 is {digest.hexdigest()}, that of {corpus.name} is {corpus.md5}; "
      f"fetch it again from {corpus.url}"
    )


def download(corpus: Corpus) -> bytes:
  """Returns the official zip; raises InputError that says how to do without a network."""
  try:
    with urllib.request.urlopen(corpus.url, timeout=60) as response:
      packed = response.read()
  except OSError as error:
    reason = getattr(error, "reason", error)
    raise InputError(
      f"{corpus.name} cannot be downloaded ({reason}); fetch {corpus.url} elsewhere and pass it as path=..."
    ) from error
  if len(packed) != corpus.zip_size:
    raise InputError(f"{corpus.url} gave {len(packed):,} bytes, not {corpus.zip_size:,}; try again, or pass path=...")
  return packed


def unpack(corpus: Corpus, path: str | None) -> UInt8[np.ndarray, "bytes"]:
  """Returns the verified content of the zip at `path`, or of the official one, which is downloaded."""
  origin = existing_file(path) if path is not None else corpus.url
  source = origin if path is not None else io.BytesIO(download(corpus))
  try:
    with zipfile.ZipFile(source) as packed:
      data = np.frombuffer(packed.read(corpus.name), np.uint8)
  except KeyError as error:
    raise InputError(f"{origin} holds no file {corpus.name}; fetch {corpus.url}") from error
  except (zipfile.BadZipFile, EOFError, OSError) as error:
    raise InputError(f"{origin} is truncated or no zip file ({error}); fetch {corpus.url} again") from error
  verify(data, corpus, origin)
  return data


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
