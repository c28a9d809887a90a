"""Labels of records: what a file gives with its examples, numbered, attribute by attribute."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Shaped

from catgen.data.label_ids import FEW_CATEGORIES, MOST_CATEGORIES, SPARSEST
from catgen.data.numpy_files import read_arrays
from catgen.data.shards import Stored
from catgen.data.splits import NAMES
from catgen.interfaces import InputError
from catgen.sources import Attribute

ALIASES = {"val": "validation", "valid": "validation"}
GIVEN = re.compile(rf"given(?:_({'|'.join((*NAMES, *ALIASES))}))?")


class Labels(NamedTuple):
  """What is given with records: named attributes, and the number of each record's value, its size for "not given"."""

  attributes: tuple[Attribute, ...]
  numbers: dict[str, Int32[np.ndarray, "records attributes"]]  # by the name of the split, or "" before it is split


def aliased(path: str, arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> dict[str, Shaped[np.ndarray, "..."]]:
  """Returns arrays by the names of their splits. Raises InputError where two are of one split: "val", "valid"."""
  found = {ALIASES.get(name, name): array for name, array in arrays.items()}
  if len(found) < len(arrays):
    raise InputError(f"{path} has several arrays of one split ({', '.join(arrays)}); keep one of each")
  return found


def numbered(name: str, texts: Mapping[str, Sequence[str]]) -> Labels:
  """Returns texts as the labels of one attribute, its values sorted; an empty text means that nothing is given.

  Args:
    name: of the attribute.
    texts: of every record, by the name of its split, or "" before it is split.

  Raises:
    InputError: no record has a label.
  """
  values = sorted({text for several in texts.values() for text in several if text})
  if not values:
    raise InputError(f"no record has a {name}; leave labels out")
  places = {value: i for i, value in enumerate(values)}
  numbers = {
    split: np.array([places.get(text, len(values)) for text in several], np.int32)[:, None]
    for split, several in texts.items()
  }
  return Labels((Attribute(name, tuple(values)),), numbers)


def load_labels(path: str) -> Labels | None:
  """Returns what a .npz file gives with its arrays: `given`, or `given_train` and so on; None where there is nothing.

  Raises:
    InputError: the labels are no whole numbers from 0, or -1 for "not given", [examples] or [examples, attributes].
  """
  loaded = read_arrays(path, GIVEN.fullmatch)
  if isinstance(loaded, np.ndarray):
    return None
  matches = [match for name in loaded if (match := GIVEN.fullmatch(name))]
  found = aliased(path, {match[1] or "": loaded[match[0]] for match in matches})
  if not found:
    return None
  for name, labels in found.items():
    if labels.dtype.kind not in "biu" or labels.ndim not in (1, 2) or not labels.size or labels.min() < -1:
      title = f"given_{name}" if name else "given"
      lowest = f", and holds {labels.min()}" if labels.dtype.kind == "i" and labels.size and labels.min() < -1 else ""
      raise InputError(
        f"{path}: the array {title} must hold whole numbers from 0, or -1 for not given, [examples] or"
        f" [examples, attributes]; it has shape {labels.shape} and dtype {labels.dtype}{lowest}"
      )
  columns = {name: _checked_labels(path, labels.reshape(len(labels), -1)) for name, labels in found.items()}
  if len({labels.shape[1] for labels in columns.values()}) > 1:
    raise InputError(f"{path}: the arrays of what is given have different numbers of attributes; make them equal")
  sizes = np.max([labels.max(axis=0) for labels in columns.values()], axis=0) + 1
  names = ["label"] if len(sizes) == 1 else [f"label_{i}" for i in range(len(sizes))]
  if not sizes.all():
    raise InputError(f"{path}: {names[int(np.argmin(sizes))]} is never given; leave it out")
  attributes = tuple(
    Attribute(name, tuple(map(str, range(size)))) for name, size in zip(names, sizes.tolist(), strict=True)
  )
  return Labels(attributes, {name: np.where(labels < 0, sizes[None], labels) for name, labels in columns.items()})


def _checked_labels(path: str, labels: Shaped[np.ndarray, "records attributes"]) -> Int32[np.ndarray, "..."]:
  """Raises InputError where labels are numbers of something else: far more than occur, see `number_of_categories`."""
  for column in labels.T:
    used, number = len(np.unique(column[column >= 0])), int(column.max()) + 1
    if number > MOST_CATEGORIES or number > max(FEW_CATEGORIES, SPARSEST * used):
      raise InputError(
        f"{path}: labels reach {number - 1:,}, which would make {number:,} values, and {used:,} occur; number those"
        " that occur from 0"
      )
  return labels.astype(np.int32)


def labels_of(numbers: Int32[np.ndarray, "records attributes"]) -> Callable[[int], bytes]:
  """Returns what gives, by the number of a record, what is given with it, for `record_numbers`."""
  return lambda i: numbers[i].tobytes()


def check_labels(given: Labels, arrays: Mapping[str, Stored], length: int | None) -> None:
  """Raises InputError unless there is a label for each record."""
  if length is not None:
    raise InputError("a stream that is cut into sequences has no labels; leave out what is given, or length")
  for name in given.numbers.keys() | arrays.keys():
    number, expected = (len(found[name]) if name in found else 0 for found in (given.numbers, arrays))
    if number != expected:
      title = f" of {name!r}" if name else ""
      raise InputError(f"{number} labels are given for the {expected} examples{title}; give one for each")
