"""Cells of tables made again, sign by sign, from categories and what these leave open."""

import math

import numpy as np
import pytest

from catgen.data.tabular import exact
from catgen.data.tabular.bins import Bins
from catgen.data.tabular.cells import Form
from catgen.data.tabular.codec import Table
from catgen.data.tabular.columns import Column
from catgen.interfaces import InputError

COLUMNS = (
  Column("job", "categorical", ("a", "b"), missing="NA"),
  Column("age", "numeric", bins=Bins((0.0, 20.0, 70.0), (7.0, 90.0)), form=Form(0)),
  Column("born", "numeric", bins=Bins((-9.0, 0.0, 365.0)), form=Form(date="%d.%m.%Y")),
  Column("paid", "numeric", bins=Bins((-2.0, 0.0, 4000.0)), form=Form(2, ",", grouped=True), missing=""),
)
TABLE = Table(COLUMNS, frozenset({"NA"}))
CELLS = [
  ["a", "NA", "b"],
  ["19", "7", "90"],
  ["31.12.1969", "23.12.1969", "02.01.1970"],
  ["1.234,50", "", "-0,01"],
]
FIXED = ("fixed",) * 4


def test_cells_come_back_and_take_as_many_bits_as_their_bins_have_numbers():
  x, left = exact.encoded(TABLE, CELLS)
  assert exact.decoded(TABLE, FIXED, x, left.to_bytes()) == CELLS
  bases = [20, 9, 9, 365, 400_000, 200]  # 7 and 90 are categories, what is missing too
  assert left.below == math.prod(bases)
  assert len(left.to_bytes()) == math.ceil(math.log2(left.below) / 8)


def test_many_random_rows_come_back():
  rng = np.random.default_rng(0)
  ages, paid = rng.integers(0, 70, 500), rng.integers(-200, 400_000, 500) / 100
  columns = [
    rng.choice(["a", "b", "NA"], 500).tolist(),
    [str(age) for age in ages],
    ["03.01.1970"] * 500,
    [f"{value:,.2f}".translate(str.maketrans(",.", ".,")) for value in paid],
  ]
  x, left = exact.encoded(TABLE, columns)
  assert exact.decoded(TABLE, FIXED, x, left.to_bytes()) == columns


def test_what_has_no_category_or_lies_beyond_the_bins_is_told():
  assert exact.encoded(TABLE, [["c"], ["1"], ["01.01.1970"], ["1,00"]]) is None
  assert exact.encoded(TABLE, [["a"], ["71"], ["01.01.1970"], ["1,00"]]) is None


@pytest.mark.parametrize(
  ("style", "cells"),
  [("fixed", ["12.50", "3.00", "0.25"]), ("trimmed", ["12.5", "3.0", "0.25"]), ("bare", ["12.5", "3", "0.25"])],
)
def test_the_way_in_which_decimals_are_written_is_found(style, cells):
  column = Column("x", "numeric", bins=Bins((0.0, 100.0)), form=Form(2))
  assert exact.style_of(column, cells) == style
  x, left = exact.encoded(Table((column,), frozenset()), [cells])
  assert exact.decoded(Table((column,), frozenset()), [style], x, left.to_bytes()) == [cells]


def test_numbers_with_any_digits_are_refused_by_name():
  anything = Column("weight", "numeric", bins=Bins((0.0, 1.0)), form=Form(None))
  with pytest.raises(InputError, match="numbers of 'weight' have any digits"):
    exact.check(Table((*COLUMNS, anything), frozenset()))
  exact.check(Table((anything._replace(bins=Bins((), (0.123456789,))), *COLUMNS), frozenset()))
