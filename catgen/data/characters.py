"""Characters as numbers: Unicode code points, alphabets, and the rules of text8."""

import re

import numpy as np
from jaxtyping import Shaped

from catgen.data.integers import integer_dtype
from catgen.interfaces import InputError

TEXT8_ALPHABET = " abcdefghijklmnopqrstuvwxyz"
UNKNOWN = "\N{REPLACEMENT CHARACTER}"  # shown for an invalid position and for a number that is no category
NUM_CODE_POINTS = 0x110000

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEXT8_RULES = {ord(str(digit)): f" {word} " for digit, word in enumerate(_DIGITS)}
_TEXT8_RULES |= {ord(letter.upper()): letter for letter in TEXT8_ALPHABET[1:]}


def reduce_to_text8(text: str) -> str:
  """Returns `text` in text8's 27 characters, by text8's rules: how a user's sentence is made ready for such a model.

  A-Z become a-z, digits are spelled out, each run of anything else (accented letters too) becomes one space; no
  space is left at either end.

  >>> reduce_to_text8("Call 42, now!")
  'call four two now'
  """
  return re.sub("[^a-z]+", " ", text.translate(_TEXT8_RULES)).strip()


def code_points(text: str) -> Shaped[np.ndarray, "length"]:
  """Returns the Unicode code points of `text` as uint32."""
  return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def character_table(alphabet: str) -> Shaped[np.ndarray, "points"]:
  """Returns, for every Unicode code point, its category, or the largest number of the dtype where it has none."""
  if len(set(alphabet)) < len(alphabet):
    repeated = next(character for i, character in enumerate(alphabet) if character in alphabet[:i])
    raise InputError(f"alphabet {show(alphabet)} repeats {repeated!r}; list each character once")
  if len(alphabet) < 2:
    raise InputError(f"alphabet {show(alphabet)} is too small; at least two characters are needed")
  dtype = integer_dtype(len(alphabet) + 1)
  table = np.full(NUM_CODE_POINTS, np.iinfo(dtype).max, dtype)
  table[code_points(alphabet)] = np.arange(len(alphabet), dtype=dtype)
  return table


def encode_characters(
  text: str, table: Shaped[np.ndarray, "points"], alphabet: str, offset: int = 0
) -> Shaped[np.ndarray, "length"]:
  """Returns categories of `text` in the dtype of `table`; `offset` is where `text` starts, for the message."""
  ids = table[code_points(text)]
  unknown = ids == np.iinfo(table.dtype).max
  if unknown.any():
    first = int(unknown.argmax())
    raise InputError(
      f"character {text[first]!r} at offset {offset + first} is not in the alphabet {show(alphabet)}; "
      f"{remedy(text[first], alphabet)}"
    )
  return ids


def remedy(character: str, alphabet: str) -> str:
  """Returns what to do about a character that an alphabet lacks: for whoever has the model, and not the choice of one.

  Example:
    >>> remedy("T", "abt")
    "write it in small letters: 't'"
  """
  small = character.lower()
  if small != character and small and set(small) <= set(alphabet):
    return f"write it in small letters: {small!r}"
  return "remove it or choose an alphabet that has it"


def show(alphabet: str) -> str:
  """Returns `alphabet` for a message: quoted, on one line, shortened beyond 48 characters, with its size."""
  shortened = alphabet if len(alphabet) <= 48 else alphabet[:32] + "..." + alphabet[-8:]
  return f"{shortened!r} ({len(alphabet)} characters)"
