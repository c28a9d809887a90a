"""Tables from the label ids or the colors of a data set to categories 0 to K - 1."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Integer

from catgen.data.integers import integer_dtype
from catgen.data.label_images import color_code, color_name
from catgen.data.mappings import IGNORED, Mapping, read_mapping
from catgen.interfaces import InputError


class CategoryTable(NamedTuple):
  """Which category each label id, or each color, becomes."""

  ids: Int[np.ndarray, "entries"]  # ascending; colors as `color_code` has them
  categories: Int[np.ndarray, "entries"]  # IGNORED: no category
  other: int | None  # category of the ids that are not listed, or IGNORED; None: they are refused
  num_classes: int
  of_colors: bool = False
  names: tuple[str, ...] = ()  # of the categories, where the table has them
  colors: tuple[str, ...] = ()  # of the categories: the first that each is listed with, where all of them have one
  title: str = "mapping"  # of the key that it is from

  @property
  def ignores(self) -> bool:
    """Whether some ids have no category."""
    return self.other == IGNORED or bool((self.categories == IGNORED).any())


def make_table(
  mapping: str | None, other: int | None, num_classes: int | None, ignore: Sequence[int] = ()
) -> CategoryTable | None:
  """Returns the table of a data set, or None where label ids are categories as they are.

  Args:
    mapping: pairs "id:category id:category ...", or the path of a .json file {"id": category, ...} or a .csv file
      with an id and a category in each line, a first line of titles being left out. An id may be a color, "#rrggbb",
      or in a .csv file three columns r, g and b; "other" stands for all that are not listed. A category may be
      "ignore", for positions that are not valid; or all are names, numbered as they come. None: ids are categories.
    other: the category of ids that the mapping does not have (without a mapping: that are not 0 to num_classes - 1).
    num_classes: K; None: the largest category of the mapping plus one.
    ignore: ids without a category, beside those that the mapping calls so.
  """
  if mapping is None and other is None:
    return None
  if mapping is None and num_classes is None:
    raise InputError("other is set, but neither mapping nor num_classes says which label ids are known; set one")
  if mapping is None:
    read = Mapping({i: i for i in range(num_classes or 0) if i not in ignore}, None, (), False)
  else:
    read = read_mapping(mapping)
    _check_words(mapping, read, other, ignore)
  other = read.other if other is None else other
  ignoring = IGNORED in read.pairs.values() or read.other == IGNORED
  known = [c for c in read.pairs.values() if c != IGNORED] + ([] if other is None or read.other == IGNORED else [other])
  num_classes = max(2, 1 + max(known, default=0)) if num_classes is None else num_classes
  outside = [category for category in known if not 0 <= category < num_classes]
  if outside:
    raise InputError(f"category {outside[0]} of the mapping or of other is outside 0..{num_classes - 1}; correct it")
  if ignoring and not known:
    raise InputError(f"mapping {mapping!r} ignores all that it lists; name a category")
  table = _table(read.pairs | dict.fromkeys(ignore, IGNORED), other, num_classes)
  colors = _first_colors(read.pairs, num_classes) if read.of_colors else ()
  return table._replace(of_colors=read.of_colors, names=read.names, colors=colors)


def table_of_colors(
  colors: Sequence[str], other: int | None, num_classes: int | None, ignore: Sequence[int] = ()
) -> CategoryTable:
  """Returns the table in which category i is the i-th of colors "#rrggbb", all different; no id can be ignored."""
  if num_classes not in (None, len(colors)):
    raise InputError(f"colors has {len(colors)} entries for {num_classes} categories; give one for each")
  _check_ignored_colors(ignore)
  pairs = {color_code(color): i for i, color in enumerate(colors)}
  if len(pairs) < len(colors):
    raise InputError("colors lists a color twice, and the maps are in colors; say by mapping which categories they are")
  return _table(pairs, other, max(2, len(colors)))._replace(of_colors=True, colors=tuple(colors), title="colors")


def to_categories(
  ids: Integer[np.ndarray, "*shape"],
  table: CategoryTable,
  place: str,
  whole: Integer[np.ndarray, "*whole"] | None = None,
) -> Integer[np.ndarray, "*shape"]:
  """Returns the categories of label ids or colors, IGNORED where they have none, in a small type.

  Raises:
    InputError: an id is not listed; `place`, the first such id and its pixel are named, the pixel of `whole`, the map
      before its size was changed.
  """
  entry = np.minimum(np.searchsorted(table.ids, ids), len(table.ids) - 1)
  listed = table.ids[entry] == ids
  if table.other is None and not listed.all():
    raise InputError(f"{place} has {_unlisted(ids[~listed], table, ids if whole is None else whole)}")
  found = table.categories[entry] if table.other is None else np.where(listed, table.categories[entry], table.other)
  return found.astype(stored_dtype(table))


def stored_dtype(table: CategoryTable) -> np.dtype:
  """Returns the smallest type that holds the categories of a table, and IGNORED where it has that."""
  return np.min_scalar_type(-table.num_classes) if table.ignores else np.dtype(integer_dtype(table.num_classes))


def _table(pairs: dict[int, int], other: int | None, num_classes: int) -> CategoryTable:
  ids = np.array(sorted(pairs))
  return CategoryTable(ids, np.array([pairs[i] for i in ids.tolist()]), other, num_classes)


def _check_words(mapping: str, read: Mapping, other: int | None, ignore: Sequence[int]) -> None:
  """Raises InputError where other keys say what the mapping says otherwise."""
  if read.other is not None and other is not None:
    raise InputError(f"mapping {mapping!r} says what other is, and other is {other}; keep one of them")
  if read.of_colors:
    _check_ignored_colors(ignore)
  twice = [i for i in ignore if read.pairs.get(i, IGNORED) != IGNORED]
  if twice:
    raise InputError(f"the id {twice[0]} is ignored, and mapping {mapping!r} gives it a category; keep one of them")


def _check_ignored_colors(ignore: Sequence[int]) -> None:
  if ignore:
    raise InputError(f'ignore has the id {ignore[0]}, but the maps are in colors; write "#rrggbb:ignore" in mapping')


def _first_colors(pairs: dict[int, int], num_classes: int) -> tuple[str, ...]:
  """Returns the first color of each category; none where a category has no color."""
  first: dict[int, str] = {}
  for code, category in pairs.items():
    first.setdefault(category, color_name(code)[:7])
  return tuple(first[i] for i in range(num_classes)) if set(range(num_classes)) <= first.keys() else ()


def _unlisted(unlisted: np.ndarray, table: CategoryTable, whole: np.ndarray) -> str:
  """Returns what is wrong with ids that are not listed, and what helps."""
  one, number = unlisted[0], len(np.unique(unlisted))
  row, column = np.argwhere(whole == one)[0] if whole.ndim == 2 else (None, None)
  at = "" if row is None else f"first at row {row}, column {column}"
  if table.of_colors and number > 2:
    at += f"; {number} colors of this map are unlisted: colors that edges were smoothed with cannot be read"
  name, of = (f"color {color_name(int(one))}", "colors") if table.of_colors else (f"label id {one}", "ids")
  return (
    f"the {name}, which {table.title} does not list; add it, or set other to the category of unlisted {of}"
    f"{f' ({at})' if at else ''}"
  )
