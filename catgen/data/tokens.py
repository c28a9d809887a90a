"""Tokens of a user's tokenizer, of the package `tokenizers`, which is imported where it is needed."""

import functools
import json
from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Int, Int32, Integer

from catgen.data.characters import UNKNOWN
from catgen.interfaces import InputError
from catgen.sources import Codec

_MOST_SIZES = 2**24  # tokens beyond which no table of their bytes is made


def token_codec(tokenizer: str) -> Codec:
  """Returns the codec of a tokenizer, given as the JSON of its file: the spec holds all of it.

  Text is encoded as it is, without the special tokens that some tokenizers add around a text. A text that the tokenizer
  has no token for is refused. Decoding shows special tokens too.
  """

  def encode(text: Any) -> Int32[np.ndarray, "length"]:
    if not isinstance(text, str):
      raise InputError(f"text is needed here, not {type(text).__name__}")
    ids = tokenize(tokenizer, text)
    return np.array(ids, np.int32)

  def decode(
    x: Integer[Array | np.ndarray, "length"], valid: Bool[Array | np.ndarray, "length"] | None = None, /
  ) -> str:
    ids = np.asarray(x).astype(np.int64)
    known = (ids >= 0) & (ids < num_tokens(tokenizer))
    if valid is not None:
      used = np.flatnonzero(valid)
      stop = int(used[-1]) + 1 if used.size else 0
      ids, known = ids[:stop], (known & np.asarray(valid))[:stop]
    parts = np.split(ids, np.flatnonzero(~known))
    texts = [parts[0], *(part[1:] for part in parts[1:])]
    return UNKNOWN.join(made(tokenizer).decode(part.tolist(), skip_special_tokens=False) for part in texts)

  spec = json.loads(tokenizer)
  return Codec(encode, decode, {"kind": "tokens", "tokenizer": spec}, num_bytes=_num_bytes(spec))


def _num_bytes(spec: dict[str, Any]) -> Int[np.ndarray, "classes"] | None:
  """Returns the bytes of each token of a tokenizer whose tokens are bytes, written as a letter each; None of others."""
  vocabulary = (spec.get("model") or {}).get("vocab")
  if (spec.get("decoder") or {}).get("type") != "ByteLevel" or not isinstance(vocabulary, dict):
    return None
  sizes = {number: len(letters) for letters, number in vocabulary.items()}
  sizes |= {token["id"]: len(token["content"].encode()) for token in spec.get("added_tokens") or ()}
  number = max(sizes, default=-1) + 1
  return np.array([sizes.get(i, 0) for i in range(number)]) if 0 < number <= _MOST_SIZES else None


def num_tokens(tokenizer: str) -> int:
  """Returns one more than the largest number of a token."""
  numbers = made(tokenizer).get_vocab(with_added_tokens=True).values()
  if not numbers:
    raise InputError("the tokenizer has no tokens; give a tokenizer.json of a trained one")
  return max(numbers) + 1


def tokenize(tokenizer: str, text: str, offset: int = 0) -> list[int]:
  """Returns the tokens of a text; `offset` is where it starts, for messages.

  Raises:
    InputError: the tokenizer has no token for a character: it says "unknown", or leaves it out.
  """
  engine = made(tokenizer)
  encoding = engine.encode(text, add_special_tokens=False)
  unknown = _unknown(tokenizer)
  place = encoding.offsets[encoding.ids.index(unknown)][0] if unknown in encoding.ids else None
  if place is None and engine.normalizer is None:
    covered = np.zeros(len(text) + 1, np.int64)
    for start, stop in encoding.offsets:
      covered[start] += 1
      covered[stop] -= 1
    left_out = [i for i in np.flatnonzero(np.cumsum(covered)[:-1] == 0) if not text[i].isspace()]
    place = int(left_out[0]) if left_out else None
  if place is not None:
    raise InputError(
      f"the tokenizer has no token for {text[place]!r} at offset {offset + place}; remove it, or train a tokenizer of "
      "bytes on your text"
    )
  return list(encoding.ids)


@functools.lru_cache(maxsize=4)
def _unknown(tokenizer: str) -> int | None:
  """Returns the number of the token for what is unknown, if there is one."""
  model = json.loads(tokenizer)["model"]
  name = model.get("unk_token")
  return model.get("unk_id") if name is None else made(tokenizer).token_to_id(name)


@functools.lru_cache(maxsize=4)
def made(tokenizer: str) -> Any:
  """Returns the tokenizer that a JSON describes. Raises InputError where there is no such, or no package for it."""
  try:
    from tokenizers import Tokenizer
  except ImportError as error:
    raise InputError('tokenized text needs the package tokenizers: pip install "catgen[tokenizers]"') from error
  try:
    engine = Tokenizer.from_str(tokenizer)
  except Exception as error:  # the package raises nothing narrower
    raise InputError(f"the tokenizer cannot be read ({str(error).splitlines()[0]}); give a tokenizer.json") from error
  engine.no_padding()
  engine.no_truncation()
  return engine
