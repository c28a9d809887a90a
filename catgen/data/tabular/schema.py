"""Columns as JSON: what a codec is rebuilt from, and the schema file in which a user changes what was found."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from catgen.data.reading import read_text
from catgen.data.tabular.bins import Bins, check
from catgen.data.tabular.cells import Form, check_date
from catgen.data.tabular.columns import CATEGORICAL, KINDS, NUMERIC, ORDINAL, Column, Given
from catgen.files import from_json
from catgen.interfaces import InputError

DROP = "drop"
_FIELDS = ("name", "kind", "values", "edges", "points", "decimals", "decimal", "grouped", "date", "missing")


def to_object(column: Column) -> dict[str, Any]:
  """Returns a column as JSON has it; what it lacks is left out."""
  found: dict[str, Any] = {"name": column.name, "kind": column.kind}
  if column.kind == NUMERIC:
    found |= {"edges": list(column.bins.edges), "points": list(column.bins.points)}
  else:
    found["values"] = list(column.values)
  form = column.form
  if form is not None and form.date is not None:
    found["date"] = form.date
  elif form is not None:
    found |= {"decimals": form.decimals, "decimal": form.decimal} | ({"grouped": True} if form.grouped else {})
  return found | {"missing": column.missing}


def given_of(found: Any) -> Given | None:
  """Returns what an object says of a column, all of it checked; None for a column that is left out.

  Raises:
    InputError: a field is unknown or not what it must be.
  """
  if not isinstance(found, Mapping) or not isinstance(found.get("name"), str):
    raise InputError(f"a column is {_shown(found)}; an object with its name is needed")
  name, kind = found["name"], found.get("kind")
  unknown = [field for field in found if field not in _FIELDS]
  if unknown:
    raise InputError(f"column {name!r} has the field {unknown[0]!r}; the fields are {', '.join(_FIELDS)}")
  if kind == DROP:
    return None
  if kind is not None and kind not in KINDS:
    raise InputError(f"column {name!r} is of kind {_shown(kind)}; give {', '.join(KINDS)} or {DROP}")
  values, missing = found.get("values"), found.get("missing")
  if values is not None and (
    not isinstance(values, list)
    or not all(isinstance(value, str) and value for value in values)
    or len(set(values)) < len(values)
  ):
    raise InputError(f"the values of column {name!r} must be a list of texts, none of them empty or there twice")
  if missing is not None and not isinstance(missing, str):
    raise InputError(f"missing of column {name!r} is {_shown(missing)}; give the text of such cells, or null for none")
  if values is not None and kind == NUMERIC:
    raise InputError(f"column {name!r} is numeric and has values; give edges and points, or another kind")
  bins = _bins(name, found) if kind == NUMERIC else None
  return Given(
    kind,
    None if values is None else tuple(values),
    bins,
    _form(name, found),
    missing,
    no_missing="missing" in found and missing is None,
  )


def column_of(found: Any, unknown: str) -> Column:
  """Returns the column that `to_object` wrote. Raises InputError where something is wrong or lacking."""
  given = given_of(found)
  if given is None or given.kind is None or (given.kind == NUMERIC and (given.bins is None or given.form is None)):
    raise InputError(f"the column {_shown(found)} is not whole")
  if given.bins is not None and given.form is not None:
    try:
      check(given.bins, given.form)
    except ValueError as error:
      raise InputError(f"column {found['name']!r}: {error}") from error
  if given.kind in (CATEGORICAL, ORDINAL) and given.values is None:
    raise InputError(f"column {found['name']!r} has no values")
  return Column(found["name"], given.kind, given.values or (), given.bins or Bins(), given.form, given.missing, unknown)


def schema_text(columns: Sequence[Column], guesses: Mapping[str, Mapping[str, str]] = MappingProxyType({})) -> str:
  """Returns the content of a schema file, a column a line; of columns that are guessed, by their names, no more."""
  found = [
    {"name": column.name, **guesses[column.name]} if column.name in guesses else to_object(column) for column in columns
  ]
  lines = ",\n".join(f"  {json.dumps(each, ensure_ascii=False)}" for each in found)
  return f'{{"columns": [\n{lines}\n]}}\n'


def read_schema(path: str) -> dict[str, Given | None]:
  """Returns what a schema file says of the columns that it names; None: the column is left out.

  Raises:
    InputError: it cannot be read, or what it says of a column is wrong.
  """
  needed = 'give {"columns": [{"name": "age", "kind": "numeric"}, ...]}'
  try:
    content = from_json(read_text(path))
  except (ValueError, RecursionError) as error:
    if isinstance(error, InputError):
      raise
    raise InputError(f"schema {path} is no JSON ({error}); {needed}") from error
  if not isinstance(content, dict) or not isinstance(content.get("columns"), list):
    raise InputError(f"schema {path} has no list of columns; {needed}")
  found: dict[str, Given | None] = {}
  for each in content["columns"]:
    try:
      given = given_of(each)
    except InputError as error:
      raise InputError(f"schema {path}: {error}") from error
    if each["name"] in found:
      raise InputError(f"schema {path} names column {each['name']!r} twice; keep one of them")
    found[each["name"]] = given
  return found


def _bins(name: str, found: Mapping[str, Any]) -> Bins | None:
  if "edges" not in found and "points" not in found:
    return None
  edges, points = (found.get(field, []) for field in ("edges", "points"))
  for each in (edges, points):
    known = isinstance(each, list) and all(type(value) in (int, float) and _finite(value) for value in each)
    if not known or any(a >= b for a, b in itertools.pairwise(each)):
      raise InputError(f"edges and points of column {name!r} must be lists of numbers, each larger than the one before")
  if len(edges) == 1:
    raise InputError(f"column {name!r} has one edge; a bin lies between two")
  return Bins(tuple(map(float, edges)), tuple(map(float, points)))


def _finite(value: int | float) -> bool:
  try:
    return math.isfinite(float(value))
  except OverflowError:
    return False


def _form(name: str, found: Mapping[str, Any]) -> Form | None:
  date, decimals, decimal = found.get("date"), found.get("decimals", 0), found.get("decimal", ".")
  if date is not None:
    try:
      check_date(date)
    except (ValueError, TypeError) as error:
      raise InputError(f"date of column {name!r}: {error}") from error
    return Form(date=date)
  if "decimals" not in found and "decimal" not in found:
    return None
  if decimals is not None and (type(decimals) is not int or not 0 <= decimals <= 15):
    raise InputError(f"decimals of column {name!r} is {_shown(decimals)}; give 0 to 15, or null for any number")
  if decimal not in (".", ","):
    raise InputError(f'decimal of column {name!r} is {_shown(decimal)}; give "." or ","')
  return Form(decimals, decimal, found.get("grouped") is True)


def _shown(value: Any) -> str:
  text = " ".join(repr(value).split())
  return text if len(text) <= 60 else f"{text[:60]}..."
