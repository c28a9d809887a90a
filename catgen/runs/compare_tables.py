"""A synthetic table beside real ones: what is alike, what tells them apart, what is learned from it, what leaks."""

import json
import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from catgen.data.sets.table_file import read_table
from catgen.data.tabular.cells import MISSING
from catgen.data.tabular.columns import CATEGORICAL, NUMERIC, ORDINAL, Rules
from catgen.data.tabular.grid import Grid, Layout
from catgen.data.tabular.numbers import Numbered, numbered
from catgen.data.tabular.schema import read_schema
from catgen.data.tabular.suspicion import suspected_of
from catgen.evaluation import shares, table_fidelity, table_trees
from catgen.evaluation.shared_rows import shared
from catgen.evaluation.table_fidelity import Alike, Rows
from catgen.files import check_folder, replacing
from catgen.interfaces import InputError
from catgen.paths import join
from catgen.reporting import terminal
from catgen.reporting.progress import OpenProgress, no_progress
from catgen.runs.membership import Membership, membership
from catgen.runs.own_encoding import encoding_of_data, unless_utf8
from catgen.runs.record import has_record, read_record
from catgen.runs.table_measures import Measure, Tables, TablesCompared, cells_of, records
from catgen.runs.table_report import report

RESULTS, REPORT = "results.json", "report.html"
DETECTION = "detection AUC"
_REMEDY = "choose another --output"
_MOST_PAIRS, _FEWEST = 1000, 20
_WORSE, _MANY = 0.45, 0.05  # an AUC below the one is no chance of the draw where more rows than the other are shared


def compare_tables(
  *,
  real: str | None = None,
  synthetic: str | None = None,
  train: str | None = None,
  schema: str | None = None,
  target: str | None = None,
  drop: tuple[str, ...] = (),
  missing: tuple[str, ...] = MISSING,
  separator: str | None = None,
  decimal: str | None = None,
  encoding: str | None = None,
  workdir: str | None = None,
  step: str = "best",
  num_draws: int = 4,
  max_rows: int = 20_000,
  max_scored: int = 2000,
  bootstraps: int = 20,
  seed: int = 0,
  output: str = "table_comparison",
  say: Callable[[str], None] = print,
  progress: OpenProgress = no_progress,
) -> TablesCompared:
  """Compares a synthetic table with real rows that nothing was trained on, and real rows in its place with the same.

  The real rows in its place are rows of --train; without it, half of --real is compared with the other half.

  Args:
    real: a table that nothing was trained on: .csv, .tsv, .txt or .parquet.
    synthetic: the table to judge, with the same columns in any order.
    train: the table that it was made from, all of whose rows count; with --workdir the rows that a run was trained on
      are those of its own training split, where its data are there.
    schema: a .json file with what columns are, as `launch.columns --output` writes it; what it lacks is found by the
      rules of data sets, from --train or else --real.
    target: column that is predicted from the others, after training on each table; default: the last categorical one,
      else the last of few numbers.
    drop: columns that are left out, with commas.
    missing: what a cell says where nothing is known, beside an empty one, with commas.
    separator: of cells, in all tables; default: found in each, as a data set's is.
    decimal: the decimal sign, . or a comma, in all tables; default: found in each.
    encoding: of tables that are no UTF-8: "latin-1", "cp1252", "utf-16-le" ...; default: UTF-8, or that of the data of
      --workdir.
    workdir: the run that made the table: also find out whether its own scores tell training rows from --real.
    step: its checkpoint: best, latest, or a number.
    num_draws: draws of its bound per row, in each of 4 replicates, where it has no exact likelihood.
    max_rows: of each table; more are drawn from by chance.
    max_scored: rows of the training split and of --real that the model scores.
    bootstraps: how often rows are drawn anew for the standard errors of shape and trend.
    seed: of all draws.
    output: folder for results.json and the page report.html.
    say: receives a line where the newest checkpoint is damaged.
    progress: opens the bar of scores.

  Raises:
    InputError: a table cannot be read, lacks a column or has too few rows.
  """
  if real is None or synthetic is None:
    raise InputError("give two tables: --real=test.csv --synthetic=synthetic.csv")
  if min(max_rows, max_scored) < _FEWEST or bootstraps < 0 or num_draws < 1:
    raise InputError(f"--max_rows and --max_scored are at least {_FEWEST}, --num_draws 1, --bootstraps 0; correct them")
  table_trees.library()
  if encoding is None and workdir is not None and has_record(workdir):
    encoding = encoding_of_data(read_record(workdir))
  paths = [path for path in (train, real, synthetic) if path is not None]
  read = partial(_read, separator=separator, decimal=decimal, encoding=encoding or "utf-8", missing=missing)
  tables, notes = _tables(list(map(read, paths)), schema, target, drop, missing, max_rows, seed)
  check_folder(output, remedy=_REMEDY)
  members = None
  if workdir is not None:
    files = {"real": real, "synthetic": synthetic, "train": train}
    members = membership(
      workdir,
      files,
      step=step,
      num_draws=num_draws,
      most=max_scored,
      seed=seed,
      encoding=encoding,
      say=say,
      progress=progress,
    )
    notes += members.notes
  pairs = table_fidelity.pairs_of(len(tables.target.names), _MOST_PAIRS, seed)
  if len(pairs) < math.comb(len(tables.target.names), 2):
    notes.append(f"trend is the mean over {len(pairs):,} pairs of columns, drawn by chance")
  by_size = {"bootstraps": bootstraps, "seed": seed}
  alike = [table_fidelity.alike(tables.target, each, pairs, **by_size) for each in (tables.synthetic, tables.rival)]
  with table_trees.one_thread():
    measures = [*_fidelity(*alike), *_trees(tables, seed), *_leaks(tables, members)]
  notes += _in_common(tables, next(each for each in measures if each.name == DETECTION))
  found = TablesCompared(measures, tables, alike[0], alike[1], pairs, members, notes, output)
  _write(found)
  return found


def _tables(
  grids: Sequence[Grid],
  schema: str | None,
  target: str | None,
  drop: Sequence[str],
  missing: Sequence[str],
  max_rows: int,
  seed: int,
) -> tuple[Tables, list[str]]:
  """Returns the tables, and what is to be known of them; `grids`: that of training where there is one, real, made."""
  for grid in grids:
    if grid.rows < _FEWEST:
      raise InputError(f"{grid.path} has {grid.rows} rows; bring at least {_FEWEST}, of which something can be said")
  known = {} if schema is None else read_schema(schema)
  rules = Rules(frozenset(missing), grids[0].decimal, unknown="other")
  found = numbered(grids, rules, known, drop)
  names = tuple(column.name for column in found.columns)
  ordered = tuple(column.kind != CATEGORICAL for column in found.columns)
  rng, all_rows = np.random.default_rng(seed), [Rows(names, found.sizes, ordered, each) for each in found.values]
  *others, held_out, made = (_some(rows, max_rows, rng) for rows in all_rows)
  notes = [
    f"of {grid.path} {max_rows:,} of {grid.rows:,} rows were drawn by chance" for grid in grids if grid.rows > max_rows
  ]
  if others:
    rival = others[0]
  else:
    notes.append("without --train one half of --real stands for the real table, the other is compared with")
    first, second = table_trees.halves(held_out.number, seed)
    held_out, rival = held_out.take(first), held_out.take(second)
  number = min(rival.number, made.number)
  strange = _strangers(found, made)
  notes += [f"--synthetic has values in {', '.join(strange)} that {grids[0].path} has not; they count as one"] * (
    len(strange) > 0
  )
  notes += suspected_of(grids, [column for column in found.columns if column.name not in known], rules)
  train_rows = all_rows[0] if others else None
  label = _label(found, target)
  return Tables(found, held_out, _some(made, number, rng), _some(rival, number, rng), train_rows, label), notes


def _read(path: str, *, separator: str | None, decimal: str | None, encoding: str, missing: Sequence[str]) -> Grid:
  layout = Layout(frozenset(missing), most=None)
  encoding = unless_utf8(path, encoding)
  return read_table(path, layout, separator=separator, decimal=decimal, encoding=encoding)


def _some(rows: Rows, most: int, rng: np.random.Generator) -> Rows:
  return rows if rows.number <= most else rows.take(np.sort(rng.permutation(rows.number)[:most]))


def _strangers(found: Numbered, rows: Rows) -> list[str]:
  """Returns the columns in which rows have values that the columns were not learned with."""
  places = [i for i, column in enumerate(found.columns) if column.kind != NUMERIC]
  return [found.columns[i].name for i in places if (rows.values[:, i] == found.columns[i].known).any()]


def _label(found: Numbered, name: str | None) -> int | None:
  names = [column.name for column in found.columns]
  if name is not None:
    if name not in names:
      raise InputError(f"there is no column {name!r} to predict; the columns are {', '.join(names[:8])}")
    return names.index(name)
  for kind in (CATEGORICAL, ORDINAL):
    fitting = [i for i, column in enumerate(found.columns) if column.kind == kind and column.known > 1]
    if fitting:
      return fitting[-1]
  return len(names) - 1


def _fidelity(synthetic: Alike, rival: Alike) -> list[Measure]:
  apart = table_fidelity.errors_of_difference(synthetic, rival)
  shape = Measure(
    "shape, mean of columns",
    synthetic.shape,
    synthetic.shape_error,
    rival.shape,
    rival.shape_error,
    "1",
    "how alike each column is by itself: 1 less the Kolmogorov-Smirnov or total variation distance",
    apart[0],
  )
  trend = Measure(
    "trend, mean of pairs",
    synthetic.trend,
    synthetic.trend_error,
    rival.trend,
    rival.trend_error,
    "1",
    "how alike pairs of columns are: 1 less half the difference of correlations, or the distance of their tables",
    apart[1],
  )
  return [shape, trend] if len(synthetic.pairs) else [shape]


def _trees(tables: Tables, seed: int) -> list[Measure]:
  told = [table_trees.told_apart(tables.target, each, seed=seed) for each in (tables.synthetic, tables.rival)]
  meaning = "how well boosted trees tell the table from real rows that they have not seen: 0.5 = not at all, 1 = always"
  detection = Measure(DETECTION, told[0].auc, told[0].error, told[1].auc, told[1].error, "0.5", meaning)
  if tables.label is None or len(tables.target.names) < 2:
    return [detection]
  learned = table_trees.learned_from(tables.synthetic, tables.rival, tables.target, tables.label, seed=seed)
  ahead = terminal.plus_minus(learned.difference, learned.difference_error, 3)
  return [
    detection,
    Measure(
      f"{learned.target} learned, {learned.measure}",
      learned.values[0],
      learned.errors[0],
      learned.values[1],
      learned.errors[1],
      "as real",
      f"how well boosted trees that learned on the table predict {learned.target} of real rows; "
      f"{learned.nothing:.3f} without looking; synthetic less real on the same rows: {ahead}",
      learned.difference_error,
    ),
  ]


def _in_common(tables: Tables, detection: Measure) -> list[str]:
  """Returns what is to be known where tables share rows: what was trained on, and why trees are worse than chance."""
  notes = []
  if tables.train is not None:
    real, train = (table_trees.comparable(each) for each in (tables.target, tables.train))
    found = shared(real, train)
    if found.taken:
      notes.append(
        f"{found.number:,} of {found.rows:,} rows of --real are rows of --train, where about {found.by_chance:,.0f}"
        " would be by chance: they are not held out, and no number here says what new rows would"
      )
  both = {
    "synthetic rows": (tables.synthetic, detection.synthetic),
    "rows in their place": (tables.rival, detection.real),
  }
  for name, (rows, auc) in both.items():
    number = int(table_trees.copied(rows, tables.target).sum())
    if number > _MANY * rows.number and auc < _WORSE:
      notes.append(
        f"the detection AUC {auc:.3f} is below 0.5 since {number:,} of {rows.number:,} {name} are also rows of --real:"
        " trees that learned one of two equal rows are wrong about the other; it says nothing of likeness"
      )
  return notes


def _leaks(tables: Tables, members: Membership | None) -> list[Measure]:
  found = []
  if tables.train is not None:
    both = [table_trees.copied(each, tables.train) for each in (tables.synthetic, tables.target)]
    made, real = ((float(each.mean()), shares.error(each * 1.0)) for each in both)
    meaning = "share of rows that are, value by value, rows of --train; of real rows: of --real"
    found.append(Measure("copies of training rows", *made, *real, "as real", meaning))
  if members is not None:
    meaning = (
      f"how well the model's own score tells {members.num_members:,} training rows from {members.num_others:,} of "
      "--real: 0.5 = not at all, so that nothing of single rows is known; beside it one half of --real and the other"
    )
    whole, apart = members.found, members.by_chance
    found.append(
      Measure("membership AUC", whole.probability, whole.error, apart.probability, apart.error, "0.5", meaning)
    )
  return found


def _write(found: TablesCompared) -> None:
  contents = {RESULTS: json.dumps(records(found), indent=1, allow_nan=False).encode(), REPORT: report(found)}
  for name, content in contents.items():
    with replacing(join(found.output, name), remedy=_REMEDY) as file:
      file.write(content)


def describe(found: TablesCompared) -> str:
  """Returns the table of measures, and what each means."""
  tables = found.tables
  lines = [
    f"{tables.synthetic.number:,} synthetic rows, and in their place as many real ones, each beside "
    f"{tables.target.number:,} real rows; {len(tables.target.names)} columns",
    terminal.table(*cells_of(found)),
    *(f"{terminal.visible(each.name)}: {terminal.visible(each.meaning)}" for each in found.measures),
    *(f"note: {terminal.visible(note)}" for note in found.notes),
    f"written to {join(found.output, REPORT)} and {join(found.output, RESULTS)}",
  ]
  return "\n".join(lines)
