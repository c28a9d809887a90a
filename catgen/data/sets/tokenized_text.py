"""A text file as a stream of the tokens of a user's tokenizer."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from catgen.data.integers import integer_dtype
from catgen.data.reading import FileBytes, kept, lines_of, open_text, read_text
from catgen.data.splits import blocks, fingerprint, stream_splits
from catgen.data.tokens import made, num_tokens, token_codec, tokenize
from catgen.interfaces import EventSpec, InputError
from catgen.sources import DataSource

PIECE = 2**18  # characters that are tokenized together, at least, as far as the text has so many


class _Tokens(NamedTuple):
  ids: Shaped[np.ndarray, "positions"]
  num_bytes: int  # of the text, in UTF-8
  differs: int | None  # where the first piece starts, in characters, that the tokenizer does not give back


def tokenized_text(
  path: str,
  tokenizer: str,
  length: int = 256,
  splits: Sequence[float | int] = (0.9, 0.05, 0.05),
  max_bytes: int | None = None,
  encoding: str = "utf-8",
) -> DataSource:
  """Returns a text file as one stream of tokens, cut into contiguous splits of sequences of `length`.

  The text is tokenized in pieces of 262,144 characters or more that end at a line break. A tokenizer that does not give
  back the text, because it changes case or drops spaces, is named in the description, and bits per byte are not stated.

  Args:
    path: text; .gz, .xz and .bz2 are unpacked.
    tokenizer: path of a tokenizer.json, of the package tokenizers, which must be installed. The work directory keeps
      its content.
    length: tokens of a sequence, at least 1.
    splits: of train, validation, test, in the order of the file: fractions, or counts of tokens.
    max_bytes: use only so many bytes from the beginning (after unpacking).
    encoding: of a file without a byte order mark: "utf-8", "utf-16-le", "latin-1", "cp1252" ...
  """
  content = read_text(tokenizer)
  try:
    num_classes = num_tokens(content)
  except InputError as error:
    raise InputError(f"{tokenizer}: {error}") from error
  tokens = _tokens(open_text(path, encoding, max_bytes), content, integer_dtype(num_classes))
  try:
    parts, values = stream_splits(tokens.ids, length, splits, "tokens")
  except InputError as error:
    raise InputError(f"{path}: {error}") from error
  lost = ""
  if tokens.differs is not None:
    lost = f"; the tokenizer does not give back the text, first after character {tokens.differs:,}: no bits per byte"
  return DataSource(
    event=EventSpec((length,), num_classes),
    splits=parts,
    codec=token_codec(content),
    position="token",
    bytes_per_position=None if lost else tokens.num_bytes / len(tokens.ids),
    fingerprint=fingerprint({name: blocks(part) for name, part in values.items()}, num_classes),
    description=f"{path}: {len(tokens.ids):,} tokens of {num_classes:,}, {tokens.num_bytes:,} bytes{lost}",
  )


def _tokens(file: FileBytes, tokenizer: str, dtype: type[np.unsignedinteger]) -> _Tokens:
  done, num_bytes, differs = 0, 0, None

  def pieces() -> Iterator[bytes]:
    nonlocal done, num_bytes, differs
    for text in _pieces(file):
      try:
        ids = tokenize(tokenizer, text, done)
      except InputError as error:
        raise InputError(f"{file.path}: {error}") from error
      if differs is None and made(tokenizer).decode(ids, skip_special_tokens=False) != text:
        differs = done
      done, num_bytes = done + len(text), num_bytes + len(text.encode())
      yield np.array(ids, dtype).tobytes()

  ids = kept(pieces()).view(dtype)
  if not ids.size:
    raise InputError(f"{file.path} has no tokens; name a file with text")
  return _Tokens(ids, num_bytes, differs)


def _pieces(file: FileBytes) -> Iterator[str]:
  """Yields the text in pieces of whole lines, of `PIECE` characters or more less the last."""
  lines: list[str] = []
  size = 0
  for line in lines_of(file):
    lines.append(line)
    size += len(line)
    if size >= PIECE:
      yield "".join(lines)
      lines, size = [], 0
  if lines:
    yield "".join(lines)
