"""The page that says how a synthetic table compares with real ones, with pictures."""

import numpy as np
from jaxtyping import Float64

from catgen.data.tabular.cells import written
from catgen.data.tabular.columns import NUMERIC, Column, category_names
from catgen.evaluation.table_fidelity import Rows, shares
from catgen.reporting import page, table_charts
from catgen.reporting.table_charts import Marginal
from catgen.runs.table_measures import TablesCompared, cells_of

_PANELS, _BARS, _BINS, _WORST = 24, 8, 30, 12
_REAL, _SYNTHETIC, _RIVAL = "real", "synthetic", "real in its place"


def report(found: TablesCompared) -> bytes:
  """Returns the page as HTML."""
  tables, header = found.tables, cells_of(found)
  blocks = [
    page.sentences(
      f"{tables.synthetic.number:,} synthetic rows of {len(tables.target.names)} columns are compared with "
      f"{tables.target.number:,} real rows that nothing was trained on. The same is done with as many other real rows "
      "in their place: that is what can be reached. What follows ± is a standard error."
    ),
    page.table(*header),
    page.table(["", "what it means"], [[each.name, each.meaning] for each in found.measures]),
    *(page.sentences(f"Note: {note}.") for note in found.notes),
    page.heading("Columns"),
    page.picture(
      table_charts.marginals([_marginal(found, i) for i in _worst_columns(found)]),
      "Shares of values of columns in the real, the synthetic and the other real rows, the least alike first.",
    ),
    page.picture(
      table_charts.similarities(
        tables.target.names, {_SYNTHETIC: found.synthetic.columns, _RIVAL: found.rival.columns}, "shape (1: the same)"
      ),
      "Shape of each column: 1 where its values are as frequent as in the real rows.",
    ),
  ]
  if found.pairs:
    blocks += [page.heading("Pairs of columns"), *_pairs(found)]
  if found.members is not None:
    blocks += [
      page.heading("Scores of the model"),
      page.picture(
        table_charts.score_histograms(found.members.bits, f"bits per row, {found.members.estimator}"),
        "Where training rows need fewer bits than held-out ones the model knows single rows.",
      ),
    ]
  return page.page("A synthetic table beside real ones", blocks)


def _pairs(found: TablesCompared) -> list[str]:
  names = found.tables.target.names
  matrix = np.full((len(names), len(names)), np.nan)
  for (a, b), value in zip(found.pairs, found.synthetic.pairs, strict=True):
    matrix[a, b] = matrix[b, a] = value
  order = np.argsort(found.synthetic.pairs - found.rival.pairs, kind="stable")[:_WORST]
  rows = [
    [
      names[found.pairs[i][0]],
      names[found.pairs[i][1]],
      f"{found.synthetic.pairs[i]:.3f}",
      f"{found.rival.pairs[i]:.3f}",
    ]
    for i in order.tolist()
  ]
  return [
    page.picture(
      table_charts.pair_matrix(names, matrix, "trend (1: the same)"),
      "Trend of each pair of columns in the synthetic table: 1 where they depend on one another as in the real rows.",
    ),
    page.sentences("Pairs that stay furthest behind real rows:"),
    page.table(["column", "column", _SYNTHETIC, _RIVAL], rows),
  ]


def _worst_columns(found: TablesCompared) -> list[int]:
  return np.argsort(found.synthetic.columns, kind="stable")[:_PANELS].tolist()


def _marginal(found: TablesCompared, number: int) -> Marginal:
  tables, column = found.tables, found.tables.columns.columns[number]
  rows = {_REAL: tables.target, _SYNTHETIC: tables.synthetic, _RIVAL: tables.rival}
  title = f"shape {found.synthetic.columns[number]:.3f}, real {found.rival.columns[number]:.3f}"
  if column.kind == NUMERIC:
    edges = _edges(list(rows.values()), number)
    labels = tuple(_end(column, float(edge)) for edge in edges[[0, -1]])
    return Marginal(column.name, title, labels, {name: shares(each, number, edges) for name, each in rows.items()})
  found_shares = {name: shares(each, number) for name, each in rows.items()}
  order = np.argsort(-(found_shares[_REAL] + found_shares[_SYNTHETIC]), kind="stable")[:_BARS]
  order = np.sort(order[(found_shares[_REAL] + found_shares[_SYNTHETIC])[order] > 0])
  names = category_names(column)
  labels = tuple(names[category] for category in order)
  return Marginal(column.name, title, labels, {name: each[order] for name, each in found_shares.items()})


def _edges(tables: list[Rows], number: int) -> Float64[np.ndarray, "edges"]:
  values = np.concatenate([each.values[:, number] for each in tables])
  known = values[~np.isnan(values)]
  low, high = np.quantile(known, [0.002, 0.998]) if known.size else (0.0, 1.0)
  if not high > low:
    low, high = low - 0.5, high + 0.5
  return np.linspace(low, high, _BINS + 1)


def _end(column: Column, number: float) -> str:
  form = column.form
  return f"{number:.4g}" if form is None or form.date is None else written(float(np.floor(number)), form)
