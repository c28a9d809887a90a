"""What users hand to a trained model: arrays and lines of text in files, and examples of the run's own data."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from catgen import build
from catgen.data import get_split
from catgen.data.arrays import load_arrays
from catgen.data.reading import existing_file
from catgen.interfaces import InputError

HOLE = -1  # in an array: a position that is not known


class Example(NamedTuple):
  """One example that a user asks for."""

  x: Int[np.ndarray, "*event"]  # categories, or HOLE in a file that may have holes
  valid: Bool[np.ndarray, "*event"]
  name: str  # where it is from


def is_text(run: build.Run) -> bool:
  """Returns True where examples are read as text, False where as arrays."""
  return isinstance(run.decode(np.zeros(run.record.event.shape, np.int32)), str)


def read_lines(path: str) -> dict[int, str]:
  """Returns the lines of a UTF-8 file by their number, from 1; empty ones are left out.

  Raises:
    InputError: it cannot be read, or every line is empty.
  """
  path = existing_file(path)
  try:
    with open(path, encoding="utf-8") as file:
      lines = {number: line.rstrip("\n") for number, line in enumerate(file, 1) if line.rstrip("\n")}
  except (OSError, UnicodeDecodeError) as error:
    raise InputError(f"{path} cannot be read as UTF-8 text ({error}); give one example a line") from error
  if not lines:
    raise InputError(f"{path} has no text; give one example a line")
  return lines


def read_array(path: str) -> Int[np.ndarray, "*shape"]:
  """Returns the integers of a .npy file, or of a .npz file of one array.

  Raises:
    InputError: it cannot be read, or holds something else.
  """
  arrays = load_arrays(existing_file(path))
  if "" not in arrays:
    raise InputError(f"{path} holds several arrays ({', '.join(arrays)}); give a file of one")
  array = np.asarray(arrays[""])
  if array.dtype.kind not in "biu":
    raise InputError(f"{path} holds {array.dtype}; integers are needed: convert it")
  return array.astype(np.int64)


def read_examples(path: str, run: build.Run, *, holes: bool = False) -> Int[np.ndarray, "examples *event"]:
  """Returns the examples of a file: one, or several along a first axis; `holes` allows HOLE as a category.

  Raises:
    InputError: shapes or categories do not fit the model.
  """
  array, event = read_array(path), run.record.event
  array = array[None] if array.shape == event.shape else array
  if array.shape[1:] != event.shape or not len(array):
    shape = " x ".join(map(str, event.shape))
    raise InputError(f"{path} has shape {array.shape}; give one example of {shape}, or several along a first axis")
  known = np.where(array == HOLE, 0, array) if holes else array
  try:
    return np.where(holes & (array == HOLE), HOLE, np.stack([run.encode(example) for example in known]))
  except InputError as error:
    raise InputError(f"{path}: {error}") from error


def one_example(run: build.Run, *, path: str | None, split: str, index: int, holes: bool = False) -> Example:
  """Returns example number `index` of a file, or without a file of a split of the run's data.

  Raises:
    InputError: there is none.
  """
  if path is not None:
    examples = read_examples(path, run, holes=holes)
    _check_index(index, len(examples), path)
    return Example(examples[index], np.ones(examples[index].shape, bool), f"{path}, number {index}")
  chosen = get_split(build.source_of(run.record), split)
  _check_index(index, chosen.num_examples, f"the split {split!r}")
  batch = chosen.examples(np.array([index]))
  return Example(batch.x[0], batch.valid[0], f"{split} split, number {index}")


def _check_index(index: int, count: int, owner: str) -> None:
  if not 0 <= index < count:
    raise InputError(f"--index is {index}, but {owner} has {count:,} example(s), numbered from 0")
