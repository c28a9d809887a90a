"""The density version of a table's likelihood: numbers of bins spread evenly over their bins, beside the categories."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64

from catgen.bounds import bits_per_position
from catgen.data.splits import BLOCK, Split
from catgen.data.tabular.bins import widths
from catgen.data.tabular.cells import Form
from catgen.data.tabular.codec import KIND, table_of
from catgen.data.tabular.columns import Column
from catgen.evaluation.likelihood import Likelihood
from catgen.reporting import terminal
from catgen.sources import Codec

NAME, UNIT = "density", "bits per row, of a density"
MEANING = (
  "-log2 of a density: bits per row and log2 of the width of the bin of each number that is in one, in the units of its"
  " column (dates: days, or seconds), points left out; these, ranks, categories and what is missing count as"
  " probabilities"
)


def density(codec: Codec, found: Likelihood, split: Split) -> dict[str, Any] | None:
  """Returns the density version of a likelihood as results.json has it; None where the rows have no bins.

  With p(row) of the categories and w_d the width of the bin of column d, in which a number is uniform (points that lie
  in it aside), the density of the row is p(row) / prod w_d. Numbers with a category of their own are point masses, and
  are left out of the product, as is what is missing. So the number is -log2 of a density on the numbers of bins and of
  a probability on all else: it depends on the units of the columns and may be below 0.

  Args:
    codec: of the data.
    found: what was measured.
    split: the split that it was measured on.
  """
  if codec.spec.get("kind") != KIND:
    return None
  columns = table_of(codec.spec).columns
  binned = [i for i, column in enumerate(columns) if column.bins.number]
  if not binned or not len(found.numbers):
    return None
  sums, numbers = np.empty(len(found.numbers)), np.asarray(found.numbers)
  widths, step = {i: log_widths(columns[i]) for i in binned}, max(1, BLOCK // len(columns))
  for start in range(0, len(numbers), step):
    x = np.asarray(split.examples(numbers[start : start + step]).x)
    sums[start : start + step] = sum(widths[i][x[:, i]] for i in binned)
  bits = bits_per_position(-np.asarray(found.nats, np.float64).mean(axis=0), 1.0) + sums
  rows, estimate = len(bits), found.estimate
  per_row = float(np.sum(found.positions)) / rows
  return {
    "value": float(estimate.bits) * per_row + float(sums.mean()),
    "unit": UNIT,
    "data_error": float(bits.std(ddof=1) / math.sqrt(rows)) if rows > 1 else None,
    "monte_carlo_error": float(estimate.monte_carlo_error) * per_row,
    "bits_per_row": float(estimate.bits) * per_row,
    "log2_widths": float(sums.mean()),
    "columns": [columns[i].name for i in binned],
    "meaning": MEANING,
  }


def said(record: Mapping[str, Any]) -> str:
  """Returns what `density` found in a line, apart from the bits of categories."""
  value, error = (math.nan if record[name] is None else record[name] for name in ("value", "data_error"))
  names = ", ".join(map(terminal.visible, record["columns"][:8])) + " ..." * (len(record["columns"]) > 8)
  return (
    f"density version, another number: {terminal.plus_minus(value, error)} bits per row, of a density: the bits of the"
    f" categories and log2 of the bins' widths, in the units of {names}; it may be below 0"
  )


def log_widths(column: Column) -> Float64[np.ndarray, "categories"]:
  """Returns log2 of the width of each category of a column that is a bin (see `widths`), and 0 for all others."""
  found = np.zeros(column.size)
  found[: column.bins.number] = bits_per_position(np.log(widths(column.bins, column.form or Form())), 1.0)
  return found
