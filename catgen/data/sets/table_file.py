"""A table with columns of all kinds, categories, ranks and numbers, some cells missing: one position a column."""

import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Int, Int32, Shaped

from catgen.batches import batch_of
from catgen.data.integers import integer_dtype
from catgen.data.labels import Labels, labels_of, numbered
from catgen.data.reading import room_for
from catgen.data.splits import (
  ANY_INTEGERS,
  BLOCK,
  COPIES_APART,
  INTEGERS_ALONE,
  SPLIT_RULE,
  blocks,
  check_split_rule,
  fingerprint,
  record_numbers,
  record_split,
)
from catgen.data.tabular import delimited, parquet
from catgen.data.tabular.cells import MISSING, is_missing
from catgen.data.tabular.codec import Table, listed, table_codec, unknown_cell
from catgen.data.tabular.columns import NUMERIC, RULES, UNKNOWN, Column, Given, Rules, encode, learn
from catgen.data.tabular.grid import Cells, Grid, Layout, contents, spellings
from catgen.data.tabular.schema import read_schema
from catgen.data.tabular.suspicion import suspected
from catgen.given import sizes_of
from catgen.interfaces import Batch, EventSpec, InputError
from catgen.paths import ending_of
from catgen.sources import DataSource, Split

_SHOWN = 12  # columns in the description
_ROWS = 4096  # at a time
_DEFAULT = Rules(frozenset(MISSING), ".")
LARGEST = 2**20  # bins or ranks that a key may ask for


def table_file(
  path: str,
  separator: str | None = None,
  header: bool = True,
  encoding: str = "utf-8",
  decimal: str | None = None,
  missing: Sequence[str] = MISSING,
  drop: Sequence[str] = (),
  labels: Sequence[str] = (),
  schema: str | None = None,
  num_bins: int = _DEFAULT.num_bins,
  few: int = _DEFAULT.few,
  spike: float = _DEFAULT.spike,
  unknown: str = _DEFAULT.unknown,
  splits: Sequence[float | int] = (0.9, 0.05, 0.05),
  split_rule: int = SPLIT_RULE,
) -> DataSource:
  """Returns the rows of a table, one category a column; see docs/TABLES.md for all rules.

  What is learned from values, kinds and categories, is learned from the training rows alone.

  Args:
    path: .csv, .tsv or .txt (.gz, .xz, .bz2: unpacked), or .parquet.
    separator: of cells; None: of comma, semicolon, tab and bar the one that cuts the first thousand lines most evenly
      and the first of them into most; a tab for .tsv; or what a first line "sep=;" says.
    header: the first row names the columns; False: they are called column_1, column_2 ...
    encoding: of a text without a byte order mark: "utf-8", "utf-16-le", "latin-1", "cp1252" ...
    decimal: the decimal sign; None: a comma where the first thousand rows have numbers with one and none with a point.
    missing: what a cell says where nothing is known, beside an empty one.
    drop: columns that are left out.
    labels: columns that are no part of a row but are given with it; where they are missing nothing is given.
    schema: a .json file with what columns are, as `launch.columns --output` writes it; None, and for columns that it
      does not name: it is found.
    num_bins: categories of a numeric column, at most: bins between quantiles, or the numbers where so few differ.
    few: up to so many different numbers make a column ordinal, a category each, and more of them numeric.
    spike: a number that more than this share of the rows have is a category beside the bins.
    unknown: what a value is that training has not: "error", "missing" or "other", a category of its own.
    splits: of train, validation, test. Fractions: a hash of the row decides, see `split_rule`, and neither order nor
      container has an influence. Counts: in the order of the file.
    split_rule: what fractions hash. 4: the row and which copy of it it is, so that each split is a sample of the same
      law. 3: the row alone, so that equal ones never lie in two splits: the choice where repeats are copies of the same
      thing, such as one person entered twice, which a test would find learned by heart.
  """
  _check(num_bins, few, spike, unknown)
  check_split_rule(split_rule, (INTEGERS_ALONE, COPIES_APART))
  known = {} if schema is None else read_schema(schema)
  texts = {name for name, given in known.items() if given is not None and given.kind not in (None, NUMERIC)}
  layout = Layout(frozenset(missing), texts=frozenset(texts))
  grid = read_table(path, layout, separator=separator, header=header, encoding=encoding, decimal=decimal)
  _check_names(grid, drop=drop, labels=labels, schema=list(known))
  dropped = {*drop, *(name for name, given in known.items() if given is None)}
  given = _labels(grid, labels, layout.missing)
  kept = [i for i, name in enumerate(grid.names) if name not in dropped and name not in labels]
  if not kept:
    raise InputError(f"{path} has no column that is not left out or a label; keep at least one")
  columns = [grid.columns[i] for i in kept]
  grid = grid._replace(names=tuple(grid.names[i] for i in kept), columns=columns)
  if all(cells.numbers is None and len(cells.texts) < 2 for cells in columns):
    raise InputError(f"{path} has nothing to learn: every column has one value; bring rows that differ")
  content, beside = _content(grid, layout.missing), _beside(grid, layout.missing, given)
  members = record_numbers(grid.rows, splits, f"rows of {path}", content, rule=split_rule, beside=beside)
  rules = Rules(layout.missing, grid.decimal, num_bins, few, spike, unknown)
  return _source(grid, members, rules, known, given, header)


def read_table(
  path: str,
  layout: Layout,
  *,
  separator: str | None = None,
  header: bool = True,
  encoding: str = "utf-8",
  decimal: str | None = None,
) -> Grid:
  """Returns a table of any container; see `table_file`. Raises InputError for another ending, too."""
  name = path.lower()
  ending = ending_of(name.removesuffix(next((end for end in delimited.PACKED if name.endswith(end)), "")))
  if ending in parquet.ENDINGS:
    return parquet.read_parquet(path, layout)
  if ending not in delimited.ENDINGS:
    raise InputError(f"{path} is no table that can be read; give a .csv, .tsv, .txt or .parquet file")
  return delimited.read_delimited(path, layout, separator=separator, header=header, encoding=encoding, decimal=decimal)


def _check(num_bins: int, few: int, spike: float, unknown: str) -> None:
  if not 1 <= num_bins <= LARGEST or not 0 <= few <= LARGEST:
    raise InputError(f"num_bins is {num_bins} and few {few}; give at least 1 bin, at least 0 ranks, and no millions")
  if not 0 < spike <= 1:
    raise InputError(f"spike is {spike}; give a share of the rows, above 0 and up to 1")
  if unknown not in RULES:
    raise InputError(f'unknown is {unknown!r}; give "error", "missing" or "other"')


def _check_names(grid: Grid, **keys: Sequence[str]) -> None:
  for key, names in keys.items():
    strange = [name for name in names if name not in grid.names]
    if strange:
      raise InputError(f"{grid.path} has no column {strange[0]!r}, which {key} names; it has {listed(grid.names)}")


def _labels(grid: Grid, names: Sequence[str], missing: frozenset[str]) -> Labels | None:
  """Returns what label columns give with each row."""
  found = []
  for name in names:
    cells = grid.columns[grid.names.index(name)]
    if cells.numbers is not None:
      raise InputError(f"{grid.path}: the label {name!r} has very many numbers; give it as a column, not as a label")
    texts = ["" if is_missing(text, missing) else text for text in cells.texts]
    found.append(numbered(name, {"": [texts[code] for code in cells.codes.tolist()]}))
  if not found:
    return None
  attributes = tuple(attribute for each in found for attribute in each.attributes)
  return Labels(attributes, {"": np.concatenate([each.numbers[""] for each in found], axis=1)})


def _content(grid: Grid, missing: frozenset[str]) -> Callable[[int], bytes]:
  """Returns what gives, by the number of a row, what decides its split."""
  return _by_number(grid, contents(grid.columns, grid.decimal, missing, grid.rows))


def _beside(grid: Grid, missing: frozenset[str], labels: Labels | None) -> list[Callable[[int], bytes]]:
  """Returns what gives, by the number of a row, what rows of equal content may differ in: labels, and spelling."""

  @functools.lru_cache(maxsize=1)
  def spelled() -> Callable[[int], bytes]:  # only where rows repeat
    return _by_number(grid, spellings(grid.columns, grid.decimal, missing, grid.rows))

  given = [] if labels is None else [labels_of(labels.numbers[""])]
  return [*given, lambda i: spelled()(i)]


def _by_number(grid: Grid, found: Callable[[slice], np.ndarray]) -> Callable[[int], bytes]:
  """Returns what gives the bytes of a row by its number, best in ascending order: blocks are made."""
  step = max(1, BLOCK // len(grid.columns))

  @functools.lru_cache(maxsize=1)
  def block(number: int) -> np.ndarray:
    return found(slice(number * step, (number + 1) * step))

  return lambda i: block(i // step)[i % step].tobytes()


def _source(
  grid: Grid,
  members: dict[str, Int[np.ndarray, "_"]],
  rules: Rules,
  known: dict[str, Given | None],
  labels: Labels | None,
  header: bool,
) -> DataSource:
  if "train" not in members:
    raise InputError(f"{grid.path}: no row is for training, of which columns are learned; correct splits")
  columns, encoded, rows, warnings = [], [], grid.rows, list[str]()
  for i, name in enumerate(grid.names):
    column = learn(grid.path, name, grid.columns[i], members["train"], grid.place, rules, known.get(name) or Given())
    columns.append(column)
    odd = None if known.get(name) else suspected(grid, i, column, rules)
    encoded.append(_encoded(grid, i, column, members, rules.missing, odd))
    warnings += [] if odd is None else [odd]
    grid.columns[i] = Cells((), np.zeros(0, np.int32))  # no column is kept twice
  sizes = tuple(column.size for column in columns)
  if max(column.size - (column.unknown == "other") for column in columns) < 2:
    raise InputError(f"{grid.path} has nothing to learn: every column has one value; bring rows that differ")
  x = room_for(rows * len(columns), np.dtype(integer_dtype(max(sizes)))).reshape(rows, len(columns))
  for i in range(len(columns)):
    x[:, i], encoded[i] = encoded[i], np.zeros(0, np.uint8)
  attributes, numbers = ((), None) if labels is None else (labels.attributes, labels.numbers[""])
  given = sizes_of(attributes)
  parts = {
    name: record_split(len(chosen), _reader(x, chosen, numbers), given, whole=True) for name, chosen in members.items()
  }
  return DataSource(
    event=EventSpec((len(columns),), max(sizes), given, sizes=sizes),
    splits=parts,
    codec=table_codec(Table(tuple(columns), rules.missing, grid.separator, header, _with_other(columns, x, members))),
    position="column",
    bytes_per_position=None,
    fingerprint=fingerprint(
      {name: _in_order(split) for name, split in parts.items()},
      ANY_INTEGERS,
      attributes,
      None if numbers is None else {name: numbers[chosen] for name, chosen in members.items()},
    ),
    description=f"{grid.path}: {rows:,} rows of {len(columns)} columns: {described(columns)}",
    attributes=attributes,
    warnings=tuple(warnings),
  )


def _with_other(
  columns: Sequence[Column], x: Shaped[np.ndarray, "rows columns"], members: dict[str, Int[np.ndarray, "_"]]
) -> frozenset[str]:
  """Returns the names of the columns in which training rows have a category for what they are not."""
  other = [(i, column) for i, column in enumerate(columns) if column.unknown == "other"]
  return frozenset(column.name for i, column in other if (x[members["train"], i] == column.known).any())


def _encoded(
  grid: Grid,
  number: int,
  column: Column,
  members: dict[str, Int[np.ndarray, "_"]],
  missing: frozenset[str],
  odd: str | None,
) -> Shaped[np.ndarray, "rows"]:
  """Returns the categories of a column; raises InputError for the first row of a split that has none."""
  cells = grid.columns[number]
  found = encode(column, cells, missing)
  wrong = np.flatnonzero(found == UNKNOWN)
  used = np.isin(wrong, np.concatenate(list(members.values()))) if wrong.size else wrong
  if wrong.size and used.any():
    row = int(wrong[used][0])
    split = next(name for name, rows in members.items() if row in rows)
    text = cells.texts[cells.codes[row]] if cells.numbers is None else ""
    if odd is not None:
      raise InputError(f"{grid.path}: {odd}")
    raise unknown_cell(grid.path, column, text, f"{grid.place(row)}, of the {split} split")
  return np.maximum(found, 0).astype(integer_dtype(column.size))


def _reader(
  x: Shaped[np.ndarray, "rows columns"],
  chosen: Int[np.ndarray, "_"],
  labels: Int32[np.ndarray, "rows attributes"] | None,
) -> Callable[[Int[np.ndarray, "n"]], Batch]:
  def read(numbers: Int[np.ndarray, "n"]) -> Batch:
    rows = chosen[numbers]
    return batch_of(x[rows].astype(np.int32), index=numbers, given=None if labels is None else labels[rows])

  return read


def _in_order(split: Split) -> Iterator[Int32[np.ndarray, "_ columns"]]:
  for numbers in blocks(np.arange(split.num_examples), _ROWS):
    yield split.examples(numbers).x


def described(columns: Sequence[Column]) -> str:
  """Returns names, kinds and numbers of categories in a line."""
  shown = ", ".join(f"{column.name} ({column.kind} {column.size})" for column in columns[:_SHOWN])
  return shown + (f" and {len(columns) - _SHOWN:,} more, which launch.columns lists" if len(columns) > _SHOWN else "")
