"""Files of text: lines, JSON lines or arrays. Whatever is written reads back to the same categories, one by one.

A line of .txt is a record as it is. A line of .jsonl is {"text": "..."} where the text says which categories were
drawn, and otherwise {"categories": [...]}, -1 for none: bytes that are no UTF-8, positions without a category, what
comes after an end, tokens that the tokenizer would not choose. Where it can be read as a whole the text is beside them,
and not read back. A .npy is integers [records, length], -1 where there is no category.
"""

import json

import numpy as np
from jaxtyping import Int

from catgen.data.characters import UNKNOWN
from catgen.data.reading import read_text
from catgen.files import writing
from catgen.interfaces import Batch, InputError
from catgen.media.medium import HOLE, check_categories, chosen_ending, marked, npy_bytes, read_array
from catgen.paths import ending_of
from catgen.sources import Codec

ENDINGS = (".txt", ".jsonl", ".npy")
_NO_PART_OF_A_LINE = "\n\r\ufeff"  # the last is a byte order mark where a file begins with it
DECLARE = "give --encoding (latin-1, cp1252, utf-16-le), or save it as UTF-8"
_NEEDED = '{"text": "..."} or {"categories": [...]} is needed'


def ending_for(codec: Codec, path: str, *, invalid: bool) -> str:
  """Returns in which of the ENDINGS examples are written to a path; a device or a pipe gets the first that holds them.

  Args:
    codec: of the examples.
    path: a file, device or pipe.
    invalid: there may be positions without a category.

  Raises:
    InputError: another ending, or one that cannot hold whatever may be written.
  """
  reason = _no_line_holds(codec, invalid)
  ending = chosen_ending(path, ENDINGS, for_pipes=ENDINGS[0 if reason is None else 1])
  if ending == ".txt" and reason is not None:
    raise InputError(f"{path} has a record a line, which cannot hold {reason}; give a name that ends in .jsonl or .npy")
  return ending


def _no_line_holds(codec: Codec, invalid: bool) -> str | None:
  """Returns what may be drawn and cannot stand in a line of UTF-8, in words."""
  if codec.end is not None:
    return "an empty one, which this model may draw"
  if codec.spec["kind"] != "alphabet":
    return f"any {codec.spec['kind']}, as this model may draw them"
  for character in codec.spec["alphabet"]:
    if character in _NO_PART_OF_A_LINE or "\ud800" <= character <= "\udfff":
      return f"the character {character!r}, which this model may draw"
  return "codes that mean no category, which this model may draw" if invalid else None


def write(codec: Codec, path: str, batch: Batch) -> None:
  """Writes examples [records, length], x being -1 where a valid position has no category. Raises InputError."""
  ending = ending_for(codec, path, invalid=bool((batch.x[batch.valid] == HOLE).any()))
  if ending == ".npy":
    content = npy_bytes(marked(batch))
  else:
    line = _text_line if ending == ".txt" else _json_line
    sizes = (np.flatnonzero(valid)[-1] + 1 if valid.any() else 0 for valid in batch.valid)
    rows = (x[:size] for x, size in zip(marked(batch), sizes, strict=True))
    content = b"".join(line(codec, row) for row in rows)
  with writing(path) as file:
    file.write(content)


def _text_line(codec: Codec, x: Int[np.ndarray, "positions"]) -> bytes:
  return f"{codec.decode(x)}\n".encode()


def _json_line(codec: Codec, x: Int[np.ndarray, "positions"]) -> bytes:
  text = codec.decode(x)
  try:
    same = np.array_equal(codec.encode(json.loads(json.dumps(text))), x)
  except InputError:
    same = False
  categories = {} if same else {"categories": x.tolist()}
  readable = {"text": text} if same or UNKNOWN not in text else {}
  return f"{json.dumps(categories | readable)}\n".encode()


def read_json_lines(
  path: str, codec: Codec, num_classes: int, encoding: str = "utf-8"
) -> dict[int, Int[np.ndarray, "positions"]]:
  """Returns the categories of each record by its line's number, from 1; -1 where there is none.

  Raises:
    InputError: it cannot be read, with the line where that is known.
  """
  lines = {
    number: line for number, line in enumerate(read_text(path, encoding, remedy=DECLARE).split("\n"), 1) if line.strip()
  }
  found = {number: _record(line, codec, num_classes, f"{path}, line {number}") for number, line in lines.items()}
  if not found:
    raise InputError(f"{path} has no records; {_NEEDED} in each line")
  return found


def _record(line: str, codec: Codec, num_classes: int, place: str) -> Int[np.ndarray, "positions"]:
  try:
    record = json.loads(line)
    if isinstance(record, dict) and "categories" not in record and isinstance(record.get("text"), str):
      return codec.encode(record["text"])
  except (ValueError, RecursionError) as error:  # no JSON, or a character outside the alphabet
    needed = "" if isinstance(error, InputError) else f"; {_NEEDED}"
    raise InputError(f"{place}: {error}{needed}") from error
  categories = record.get("categories") if isinstance(record, dict) else None
  if not isinstance(categories, list):
    raise InputError(f"{place}: {_NEEDED}")
  for each in categories:
    if type(each) is not int or not HOLE <= each < num_classes:
      raise InputError(f"{place}: {each!r} is no category; give numbers from 0 to {num_classes - 1}, or -1 for none")
  return np.array(categories, np.int32)


def read_rows(path: str, num_classes: int) -> dict[int, Int[np.ndarray, "positions"]]:
  """Returns the categories of each row of a .npy or .npz file, by its number from 0; -1 where there is none.

  Raises:
    InputError: it cannot be read, is of another shape, or holds what is no category.
  """
  array = read_array(path)
  array = array[None] if array.ndim == 1 else array
  if array.ndim != 2 or not array.size:
    raise InputError(f"{path} has shape {array.shape}; give one record, or several along a first axis")
  try:
    return dict(enumerate(check_categories(array, num_classes)))
  except InputError as error:
    raise InputError(f"{path}: {error}") from error


def is_array(path: str) -> bool:
  """Returns whether a path is that of an array, by its ending."""
  return ending_of(path) in (".npy", ".npz")


def is_json_lines(path: str) -> bool:
  """Returns whether a path is that of JSON lines, by its ending."""
  return ending_of(path) in (".jsonl", ".ndjson")
