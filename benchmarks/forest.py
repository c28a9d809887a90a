"""Adversarial random forests as the package arfpy (MIT licence) has them, on tables of any columns, with gaps.

  pip install arfpy "pandas<3"

The package takes numbers without gaps and categories, says no likelihood, and is written for an older NumPy and pandas.
So a column of numbers with gaps is two of its columns, whether there is a number and the number, the median where there
is none; and numbers that it draws are rounded to the decimals of the column.
"""

import contextlib
import importlib
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from catgen.data.tabular.cells import Form, is_missing, number_of, written
from catgen.data.tabular.codec import Table
from catgen.data.tabular.columns import NUMERIC, Column
from catgen.interfaces import InputError

_GAP = "whether "  # in front of the name of a column


def drawn(table: Table, train: Mapping[str, Sequence[str]], number: int, seed: int) -> dict[str, list[str]]:
  """Returns columns of cells that a forest draws, which has learned the training rows.

  Args:
    table: what the columns are.
    train: cells by the names of the columns.
    number: of rows.
    seed: of everything.
  """
  forests, pandas = _libraries()
  np.random.seed(seed)  # noqa: NPY002 the package draws from the global generator
  frame = pandas.DataFrame(_features(table, train, pandas))
  with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
    warnings.simplefilter("ignore")
    forest = forests.arf(frame, random_state=seed, verbose=False)
    forest.forde()
    found = forest.forge(number)
  return {column.name: _cells(column, found) for column in table.columns}


def _libraries() -> tuple[Any, Any]:
  try:
    pandas = importlib.import_module("pandas")
    vars(np).setdefault("in1d", np.isin)  # as NumPy before 2.4 called it
    return importlib.import_module("arfpy.arf"), pandas
  except ImportError as error:
    raise InputError(f"forests are those of arfpy ({error}): pip install arfpy 'pandas<3'") from error


def _features(table: Table, train: Mapping[str, Sequence[str]], pandas: Any) -> dict[str, Any]:
  found: dict[str, Any] = {}
  for column in table.columns:
    cells = train[column.name]
    if column.kind != NUMERIC:
      found[column.name] = pandas.Categorical(["" if is_missing(cell, table.missing) else cell for cell in cells])
      continue
    numbers = [number_of(cell, column.form or Form()) for cell in cells]
    values = np.array([np.nan if number is None else number for number in numbers])
    if np.isnan(values).any():
      found[_GAP + column.name] = pandas.Categorical(np.where(np.isnan(values), "no", "yes"))
    found[column.name] = np.where(np.isnan(values), np.nanmedian(values), values)
  return found


def _cells(column: Column, found: Any) -> list[str]:
  values = found[column.name].tolist()
  if column.kind != NUMERIC:
    return list(map(str, values))
  form = column.form or Form()
  there = (found[_GAP + column.name] == "yes").tolist() if _GAP + column.name in found else [True] * len(values)
  rounded = values if form.decimals is None else np.round(values, form.decimals).tolist()
  return [written(value, form) if known else "" for value, known in zip(rounded, there, strict=True)]
