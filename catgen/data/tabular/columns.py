"""What a column of a table is: categories, ranks or numbers; learned from training rows, and kept as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int, Int32, Int64

from catgen.data.tabular import bins as binning
from catgen.data.tabular.bins import Bins
from catgen.data.tabular.cells import (
  TRUTH,
  Form,
  beyond_floats,
  form_of,
  forms,
  is_missing,
  number_of,
  numbers_of,
  written,
)
from catgen.data.tabular.grid import BEGUN, Cells, UnsettledError, mixed, unique_names
from catgen.interfaces import InputError

CATEGORICAL, ORDINAL, NUMERIC = KINDS = ("categorical", "ordinal", "numeric")
OTHER = "<other>"  # the cell of a category for values that training has not
UNKNOWN = -1
RULES = ("error", "missing", "other")
_MOSTLY = 0.95  # of the rows that have numbers, from which on a text among them is taken for a mistake


class Column(NamedTuple):
  """A column as categories: its values or its bins and points, then OTHER and what is missing where it has them."""

  name: str
  kind: str
  values: tuple[str, ...] = ()  # of categories and ranks, as they are written
  bins: Bins = Bins()  # of numbers
  form: Form | None = None  # of numbers, and of ranks that are numbers
  missing: str | None = None  # how a missing cell is written; None: no category says so
  unknown: str = RULES[0]  # what a value is that is not among the categories

  @property
  def known(self) -> int:
    """How many categories have a value."""
    return self.bins.size if self.kind == NUMERIC else len(self.values)

  @property
  def size(self) -> int:
    """How many categories there are."""
    return self.known + (self.unknown == "other") + (self.missing is not None)


class Given(NamedTuple):
  """What a schema says of a column, before any row was read; None: it is learned."""

  kind: str | None = None
  values: tuple[str, ...] | None = None
  bins: Bins | None = None
  form: Form | None = None
  missing: str | None = None
  no_missing: bool = False


class Rules(NamedTuple):
  """By which columns are learned; see `table_file`."""

  missing: frozenset[str]
  decimal: str
  num_bins: int = 64
  few: int = 20
  spike: float = 0.05
  unknown: str = RULES[0]


def learn(
  path: str, name: str, cells: Cells, rows: Int[np.ndarray, "training"], place: Any, rules: Rules, given: Given
) -> Column:
  """Returns what a column is, by its cells in the training rows.

  Args:
    path, name, place: for messages; place: (row) -> where it is.
    cells: of all rows.
    rows: those to learn from.
    rules, given: what decides.
  """
  if cells.numbers is not None:
    numbers = cells.numbers[rows]
    there = numbers[~np.isnan(numbers)]
    nothing = cells.nothing if there.size < numbers.size else None
    found = np.unique(there, return_counts=True)
    return _numeric(name, *found, given.form or cells.form, _nothing(nothing, given, rules), rules, given)
  counts = np.bincount(cells.codes[rows], minlength=len(cells.texts))
  texts = {text: int(count) for text, count in zip(cells.texts, counts, strict=True) if count}
  absent = {text: count for text, count in texts.items() if is_missing(text, rules.missing)}
  strange = {OTHER} if rules.unknown == "other" else set()  # as a file that was written by a model may have it
  known = {text: count for text, count in texts.items() if text not in absent and text not in strange}
  often = min(absent, key=lambda text: (-absent[text], text)) if absent else None
  nothing = _nothing(often, given, rules)
  if given.values is not None:
    return Column(name, given.kind or CATEGORICAL, given.values, Bins(), given.form, nothing, rules.unknown)
  if given.kind == CATEGORICAL:
    return Column(name, CATEGORICAL, tuple(sorted(known)), Bins(), None, nothing, rules.unknown)
  form = given.form or _form(path, name, list(known), rules)
  numbers = None if form is None else numbers_of(list(known), form)
  if form is None or numbers is None:
    _check_mixed(path, name, cells, known, rows, place, rules)
    if given.kind is not None:
      wrong = next((text for text in known if form is None or number_of(text, form) is None), "")
      raise mixed(path, name, _place_of(cells, wrong, rows, place), wrong, form or Form(decimal=rules.decimal))
    return Column(name, CATEGORICAL, tuple(sorted(known)), Bins(), None, nothing, rules.unknown)
  values, inverse = np.unique(numbers[0], return_inverse=True)
  times = np.bincount(inverse, weights=list(known.values()), minlength=len(values)).astype(np.int64)
  if given.kind == NUMERIC or (given.kind is None and len(values) > rules.few):
    return _numeric(name, values, times, form, nothing, rules, given)
  order = sorted(known, key=lambda text: (-known[text], text))  # of spellings of one number the most frequent is shown
  shown = {value: text for text in reversed(order) if (value := number_of(text, form)) is not None}
  ranks = tuple(shown[value] for value in sorted(shown))
  own = numbers_of(list(ranks), form)
  return Column(name, ORDINAL, ranks, Bins(), form if own is None else own[1], nothing, rules.unknown)


def _numeric(
  name: str,
  values: Float64[np.ndarray, "distinct"],
  counts: Int64[np.ndarray, "distinct"],
  form: Form,
  nothing: str | None,
  rules: Rules,
  given: Given,
) -> Column:
  found = given.bins
  if found is None:
    found = binning.learned(values, counts, form, num_bins=rules.num_bins, spike=rules.spike)
  try:
    binning.check(found, form)
  except ValueError as error:
    raise InputError(f"column {name!r}: {error}") from error
  return Column(name, NUMERIC, (), found, form, nothing, rules.unknown)


def _nothing(often: str | None, given: Given, rules: Rules) -> str | None:
  """Returns how a missing cell of a column is written, and None where none is expected."""
  if given.no_missing:
    return None
  found = often if given.missing is None else given.missing
  return "" if found is None and rules.unknown == "missing" else found


def _form(path: str, name: str, texts: list[str], rules: Rules) -> Form | None:
  try:
    return form_of(texts, rules.decimal)
  except ValueError as error:
    raise UnsettledError(
      f"{path}: column {name!r} has dates such as {texts[0]}, which may be {error}",
      f"say which in a schema, {BEGUN}, as its date, or call the column categorical there",
      name,
      {"date": str(error).split(" or ", 1)[0]},
    ) from error


def _check_mixed(
  path: str,
  name: str,
  cells: Cells,
  known: Mapping[str, int],
  rows: Int[np.ndarray, "training"],
  place: Any,
  rules: Rules,
) -> None:
  """Raises InputError where few texts stand among many numbers or dates: mistakes, or words for nothing."""
  for form in forms(rules.decimal):
    found = {text: count for text, count in known.items() if number_of(text, form) is not None}
    if len(found) > rules.few and sum(found.values()) >= _MOSTLY * sum(known.values()):
      odd = [text for text in known if text not in found]
      if all(beyond_floats(text, rules.decimal) for text in odd):
        return  # numbers none the less, which only texts keep apart
      raise mixed(path, name, _place_of(cells, odd[0], rows, place), odd[0], form)


def _place_of(cells: Cells, text: str, rows: Int[np.ndarray, "training"], place: Any) -> str:
  code = cells.texts.index(text) if text in cells.texts else 0
  return place(int(rows[np.argmax(cells.codes[rows] == code)]))


def encode(column: Column, cells: Cells, missing: frozenset[str]) -> Int32[np.ndarray, "rows"]:
  """Returns the category of each cell, UNKNOWN where it has none."""
  if cells.numbers is not None:
    if column.kind != NUMERIC:
      texts, codes = np.unique(cells.numbers, return_inverse=True, equal_nan=True)
      form = column.form or cells.form
      plain = ["" if np.isnan(value) else written(value, form) for value in texts.tolist()]
      return category_of(column, plain, missing)[codes]
    there = ~np.isnan(cells.numbers)
    found = np.full(len(cells.numbers), _absent(column), np.int32)
    found[there] = binning.categories(cells.numbers[there], column.bins)
    return found
  return category_of(column, cells.texts, missing)[cells.codes]


class Spellings(NamedTuple):
  """The categories of a column by how they may be written."""

  exact: Mapping[str, int]
  by_number: Mapping[float, int]
  truths: Mapping[str, int]  # of true and false, in small letters


def spellings(column: Column) -> Spellings:
  """Returns the spellings of a column, which take as long as it has categories."""
  return Spellings({value: i for i, value in enumerate(column.values)}, _by_number(column), _truths(column))


def category_of(
  column: Column, texts: Sequence[str], missing: frozenset[str], known: Spellings | None = None
) -> Int32[np.ndarray, "texts"]:
  """Returns the category of each text, without blanks around it; UNKNOWN where it has none.

  Args:
    column, texts, missing: as everywhere.
    known: `spellings` of the column, where it is asked often for few texts.
  """
  known = spellings(column) if known is None else known
  found = np.full(len(texts), _stranger(column), np.int32)
  absent = np.array([is_missing(text, missing) for text in texts], bool)
  found[absent] = _absent(column)
  if column.kind != NUMERIC:
    exact = np.array([known.exact.get(text, UNKNOWN) for text in texts], np.int32)
    found = np.where(exact >= 0, exact, found).astype(np.int32)
    absent = absent | (exact >= 0)
  rest = np.flatnonzero(~absent)
  inside: dict[int, float] = {}
  for i in rest.tolist():
    number = None if column.form is None else number_of(texts[i], column.form)
    if number is None:
      found[i] = known.truths.get(texts[i].lower(), found[i])
    elif column.kind == NUMERIC:
      inside[i] = number
    else:
      found[i] = known.by_number.get(number, found[i])
  found[list(inside)] = binning.categories(np.array(list(inside.values())), column.bins)
  return found


def _truths(column: Column) -> dict[str, int]:
  """Returns the categories of true and false, where each has one spelling."""
  found = {value.lower(): i for i, value in enumerate(column.values) if value.lower() in TRUTH}
  return found if len(found) == sum(value.lower() in TRUTH for value in column.values) else {}


def _by_number(column: Column) -> dict[float, int]:
  if column.kind != ORDINAL or column.form is None:
    return {}
  found = ((number_of(value, column.form), i) for i, value in enumerate(column.values))
  return {number: i for number, i in found if number is not None}


def _absent(column: Column) -> int:
  return column.size - 1 if column.missing is not None else _stranger(column)


def _stranger(column: Column) -> int:
  """Returns the category of a value that is not among a column's."""
  if column.unknown == "other":
    return column.known
  return column.size - 1 if column.unknown == "missing" and column.missing is not None else UNKNOWN


def decode(column: Column, categories: Int[np.ndarray, "rows"], uniforms: Float64[np.ndarray, "rows"]) -> list[str]:
  """Returns cells of categories: numbers of a bin as uniform numbers choose them; "" for what is no category."""
  named = {}
  if column.unknown == "other":
    named[column.known] = OTHER
  if column.missing is not None:
    named[column.size - 1] = column.missing
  if column.kind != NUMERIC:
    values = column.values
    return [values[place] if 0 <= place < len(values) else named.get(place, "") for place in categories.tolist()]
  form = column.form or Form()
  return [
    written(binning.drawn(category, uniform, column.bins, form), form)
    if 0 <= category < column.known
    else named.get(category, "")
    for category, uniform in zip(categories.tolist(), uniforms.tolist(), strict=True)
  ]


def category_names(column: Column) -> tuple[str, ...]:
  """Returns what the categories of a column are called: bins by their ends; all differ."""
  numbers = np.arange(column.size)
  found = decode(column, numbers, np.zeros(len(numbers)))
  if column.kind == NUMERIC:
    last = decode(column, numbers[: column.bins.number], np.full(column.bins.number, 1.0 - 2.0**-53))
    found[: len(last)] = [
      first if first == end else f"{first} to {end}" for first, end in zip(found, last, strict=False)
    ]
  if column.missing is not None:
    found[-1] = column.missing or "missing"
  return tuple(unique_names(found))


def decode_known(column: Column, number: int) -> list[str]:
  """Returns so many values of a column and its last one: of numbers the lower ends of bins, and the end of the last."""
  places = np.arange(min(number, column.known))
  found = decode(column, places, np.zeros(len(places)))
  if column.known <= number:
    return found
  last = decode(column, np.array([column.known - 1]), np.zeros(1))
  if column.bins.number:
    last = decode(column, np.array([column.bins.number - 1]), np.array([1.0 - 2.0**-53]))
  return [*found, "...", *last]


def typed(column: Column, cells: Sequence[str], there: Bool[np.ndarray, "rows"]) -> list[Any]:
  """Returns cells that `decode` gave as values: whole numbers, floats, true or false, None where nothing is."""
  if column.form is not None and column.form.date is None:
    form, whole = column.form, column.form.decimals == 0
    return [_number(cell, form, whole=whole) if known else None for cell, known in zip(cells, there, strict=True)]
  if 0 < len(column.values) <= len(TRUTH) and len(_truths(column)) == len(column.values):
    truths = {value: value.lower() == TRUTH[0] for value in column.values}
    return [truths.get(cell, cell) if known else None for cell, known in zip(cells, there, strict=True)]
  return [cell if known else None for cell, known in zip(cells, there, strict=True)]


def _number(cell: str, form: Form, *, whole: bool) -> Any:
  number = number_of(cell, form)
  if number is None:
    return cell
  return int(number) if whole and abs(number) < 2**53 else number  # beyond, digits would be made up
