"""Tables from the label ids of a data set to categories 0 to K - 1."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Integer

from catgen.data.codecs import integer_dtype
from catgen.data.reading import read_table
from catgen.interfaces import InputError


class CategoryTable(NamedTuple):
  """Which category each label id becomes."""

  ids: Int[np.ndarray, "entries"]  # ascending
  categories: Int[np.ndarray, "entries"]
  other: int | None  # category of the ids that are not listed; None: they are refused
  num_classes: int


def make_table(mapping: str | None, other: int | None, num_classes: int | None) -> CategoryTable | None:
  """Returns the table of a data set, or None where label ids are categories as they are.

  Args:
    mapping: pairs "id:category id:category ...", or the path of a .json file {"id": category, ...} or a .csv file
      with an id and a category in each line, a first line of titles being left out. None: ids are categories.
    other: the category of ids that the mapping does not have (without a mapping: that are not 0 to num_classes - 1).
    num_classes: K; None: the largest category of the mapping plus one.
  """
  if mapping is None and other is None:
    return None
  if mapping is None and num_classes is None:
    raise InputError("other is set, but neither mapping nor num_classes says which label ids are known; set one")
  pairs = _pairs(mapping) if mapping is not None else {i: i for i in range(num_classes or 0)}
  known = [*pairs.values(), *([] if other is None else [other])]
  num_classes = max(2, 1 + max(known)) if num_classes is None else num_classes
  outside = [category for category in known if not 0 <= category < num_classes]
  if outside:
    raise InputError(f"category {outside[0]} of the mapping or of other is outside 0..{num_classes - 1}; correct it")
  ids = np.array(sorted(pairs))
  return CategoryTable(ids, np.array([pairs[i] for i in ids.tolist()]), other, num_classes)


def to_categories(
  ids: Integer[np.ndarray, "*shape"], table: CategoryTable, place: str
) -> Integer[np.ndarray, "*shape"]:
  """Returns the categories of label ids; raises InputError that names `place` and the first id without one."""
  entry = np.minimum(np.searchsorted(table.ids, ids), len(table.ids) - 1)
  listed = table.ids[entry] == ids
  if table.other is None and not listed.all():
    raise InputError(
      f"{place} has the label id {ids[~listed][0]}, which mapping does not list; add it, or set other to the category"
      " of unlisted ids"
    )
  found = table.categories[entry] if table.other is None else np.where(listed, table.categories[entry], table.other)
  return found.astype(integer_dtype(table.num_classes))


def _pairs(mapping: str) -> dict[int, int]:
  """Returns id -> category of a mapping."""
  kind = os.path.splitext(mapping)[1].lower()
  entries: Sequence[Sequence[Any]]
  if kind in (".json", ".csv"):
    entries = read_table(mapping, "mapping")
    if kind == ".csv" and entries and not entries[0][0].strip().lstrip("-").isdigit():
      entries = entries[1:]  # titles
  else:
    entries = [pair.split(":") for pair in mapping.replace(",", " ").split()]
  try:
    pairs = [(int(one), int(other)) for one, other in entries]
  except (ValueError, TypeError) as error:
    raise InputError(
      f'mapping {mapping!r} cannot be read ({error}); give "id:category id:category ...", a .json object or a .csv file'
      " of two columns"
    ) from error
  if not pairs or len(dict(pairs)) < len(pairs):
    raise InputError(f"mapping {mapping!r} lists {'an id twice' if pairs else 'nothing'}; list every id once")
  return dict(pairs)
