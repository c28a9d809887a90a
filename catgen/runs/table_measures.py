"""What a comparison of tables found: its measures, as JSON has them and as a table shows them."""

import math
from typing import Any, NamedTuple

from catgen.data.tabular.numbers import Numbered
from catgen.evaluation.results import without_nan
from catgen.evaluation.table_fidelity import Alike, Rows
from catgen.reporting import terminal
from catgen.runs.membership import Membership


class Measure(NamedTuple):
  """One comparison, of the synthetic table and, in its place, of a held-out real one of the same size."""

  name: str
  synthetic: float
  synthetic_error: float
  real: float
  real_error: float
  perfect: str  # where nothing could tell the synthetic table from a real one
  meaning: str
  difference_error: float = math.nan  # of synthetic less real on the same rows; NaN: they differ

  @property
  def difference(self) -> float:
    """Synthetic less real."""
    return self.synthetic - self.real


class Tables(NamedTuple):
  """The tables of a comparison, as numbers, with as many rows of `synthetic` as of `rival`."""

  columns: Numbered
  target: Rows  # real rows that both are compared with
  synthetic: Rows
  rival: Rows  # other real rows
  train: Rows | None
  label: int | None  # number of the column that is learned


class TablesCompared(NamedTuple):
  """What was found, and where it is written."""

  measures: list[Measure]
  tables: Tables
  synthetic: Alike
  rival: Alike
  pairs: list[tuple[int, int]]
  members: Membership | None
  notes: list[str]
  output: str


def records(found: TablesCompared) -> dict[str, Any]:
  """Returns all that was found as JSON has it; a number that is unknown is None."""
  names, tables = found.tables.target.names, found.tables
  return without_nan(
    {
      "measures": [{**each._asdict(), "difference": each.difference} for each in found.measures],
      "columns": [
        {"name": name, "kind": column.kind, "synthetic": float(made), "real": float(rival)}
        for name, column, made, rival in zip(
          names, tables.columns.columns, found.synthetic.columns, found.rival.columns, strict=True
        )
      ],
      "pairs": [
        {"columns": [names[a], names[b]], "synthetic": float(made), "real": float(rival)}
        for (a, b), made, rival in zip(found.pairs, found.synthetic.pairs, found.rival.pairs, strict=True)
      ],
      "rows": {
        "real": tables.target.number,
        "synthetic": tables.synthetic.number,
        "real in its place": tables.rival.number,
      },
      "notes": found.notes,
    }
  )


def cells_of(found: TablesCompared) -> tuple[list[str], list[list[str]]]:
  """Returns the header and the rows of the table of measures."""
  rows = [
    [
      terminal.visible(each.name),
      terminal.plus_minus(each.synthetic, each.synthetic_error, 3),
      terminal.plus_minus(each.real, each.real_error, 3),
      each.perfect,
    ]
    for each in found.measures
  ]
  return ["", "synthetic", "real in its place", "at best"], rows
