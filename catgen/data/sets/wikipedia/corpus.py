"""The official files of text8 and enwik8, 100 MB of the English Wikipedia of 3 March 2006: fetched, verified."""

import hashlib
import http.client
import io
import urllib.request
import zipfile
import zlib
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from catgen.data.characters import TEXT8_ALPHABET
from catgen.data.reading import existing_file
from catgen.data.splits import blocks
from catgen.interfaces import InputError

FRACTIONS = (0.9, 0.05, 0.05)  # of the papers


class Corpus(NamedTuple):
  """An official file: where it is, and how it is known to be whole."""

  name: str  # also of the file inside the zip
  url: str
  zip_size: int  # bytes
  size: int  # bytes, unpacked
  md5: str  # of the unpacked file
  alphabet: str | None  # None: all 256 byte values


TEXT8 = Corpus(
  name="text8",
  url="http://mattmahoney.net/dc/text8.zip",
  zip_size=31_344_016,
  size=100_000_000,
  md5="3bea1919949baf155f99411df5fada7e",
  alphabet=TEXT8_ALPHABET,
)
ENWIK8 = Corpus(
  name="enwik8",
  url="http://mattmahoney.net/dc/enwik8.zip",
  zip_size=36_445_475,
  size=100_000_000,
  md5="a1fa5ffddb56f4953e226637dabbb36a",
  alphabet=None,
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
  """Returns the bytes of the official zip; raises InputError that says how to do without a network."""
  try:
    with urllib.request.urlopen(corpus.url, timeout=60) as response:
      packed = response.read()
  except (OSError, http.client.HTTPException) as error:
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
  except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
    raise InputError(f"{origin} is truncated or no zip file ({error}); fetch {corpus.url} again") from error
  verify(data, corpus, origin)
  return data
