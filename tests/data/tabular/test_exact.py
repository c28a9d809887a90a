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


def habits(table=TABLE, columns=CELLS):
  return [exact.habits_of(table, column, cells) for column, cells in zip(table.columns, columns, strict=True)]


def test_cells_come_back_and_take_as_many_bits_as_their_bins_have_numbers():
  x, left = exact.encoded(TABLE, habits(), CELLS)
  assert exact.decoded(TABLE, habits(), x, left.to_bytes()) == CELLS
  bases = [20, 9, 9, 365, 400_000, 200]  # 7 and 90 are categories, what is missing too
  spelled = [3 / 4, 5 / 6, 3 / 5, 3 / 6]  # NA and "", seen once, may be the other; 1.234,50 with 3 other spellings
  assert left.bits == pytest.approx(math.log2(math.prod(bases)) - sum(map(math.log2, spelled)), abs=2.5)
  assert len(left.to_bytes()) <= math.ceil(left.bits / 8)


def test_files_of_format_1_have_a_style_for_each_column_and_places_alone():
  """The number was made of the places by hand, as it was before spellings were symbols: digits, each with its base."""
  x, _ = exact.encoded(TABLE, habits(), CELLS)
  number, below = 0, 1
  for place, base in ((19, 20), (8, 9), (0, 9), (1, 365), (123_450, 400_000), (199, 200)):
    number, below = number + place * below, below * base
  assert exact.decoded(TABLE, FIXED, x, number.to_bytes(8, "little")) == CELLS
  trimmed = [[cell.replace(",50", ",5") for cell in cells] for cells in CELLS]
  assert exact.decoded(TABLE, (*FIXED[:3], "bare"), x, number.to_bytes(8, "little")) == trimmed


def test_many_random_rows_come_back():
  rng = np.random.default_rng(0)
  ages, paid = rng.integers(0, 70, 150), rng.integers(-200, 400_000, 150) / 100
  columns = [
    rng.choice(["a", "b", "NA", ""], 150).tolist(),
    [str(age) for age in ages],
    ["03.01.1970"] * 150,
    [spelling(value, way) for value, way in zip(paid, rng.integers(0, 4, 150), strict=True)],
  ]
  for known in ([{}] * 4, habits(TABLE, columns), habits(TABLE, [cells[:9] for cells in columns])):
    x, left = exact.encoded(TABLE, known, columns)
    assert exact.decoded(TABLE, known, x, left.to_bytes()) == columns
    assert left.bits - 1 <= 8 * len(left.to_bytes()) <= left.bits + 8


def spelling(value: float, way: int) -> str:
  text = f"{value:,.2f}" if way % 2 else f"{value:.2f}"
  if way > 1:
    text = text.rstrip("0").removesuffix(".")
  return text.translate(str.maketrans(",.", ".,"))


def test_spellings_of_every_kind_of_value_come_back():
  columns = (
    Column("yes", "categorical", ("True", "False")),
    Column("rank", "ordinal", ("1", "2.5"), form=Form(1)),
    Column("day", "categorical", ("Mo",), unknown="other", missing="?"),
  )
  table = Table(columns, frozenset({"NA", "?"}))
  cells = [
    ["true", "FALSE", "True", "false"],
    ["1", "1.0", "2.50", "1.00"],
    ["<other>", "?", "NA", ""],
  ]
  x, left = exact.encoded(table, [{}] * 3, cells)
  assert x.T.tolist() == [[0, 1, 0, 1], [0, 0, 1, 0], [1, 2, 2, 2]]
  assert exact.decoded(table, [{}] * 3, x, left.to_bytes()) == cells


def test_spellings_that_go_with_the_value_cost_next_to_nothing():
  """`0` beside `1862,30`: a point is always bare and a bin always whole, which the counts of the header know."""
  column = Column("paid", "numeric", bins=Bins((0.0, 5000.0), (0.0,)), form=Form(2, ","))
  table, rng = Table((column,), frozenset()), np.random.default_rng(0)
  cells = [["0" if rng.random() < 0.3 else f"{rng.integers(1, 50_000) / 10:.2f}".replace(".", ",") for _ in range(256)]]
  known = habits(table, cells)
  x, left = exact.encoded(table, known, cells)
  assert exact.decoded(table, known, x, left.to_bytes()) == cells
  places = sum(cell != "0" for cell in cells[0]) * math.log2(500_000)
  assert places < left.bits < places + 5
  mixed = [[cell.removesuffix("0") if i % 2 and cell != "0" else cell for i, cell in enumerate(cells[0])]]
  known = habits(table, mixed)
  x, left = exact.encoded(table, known, mixed)
  assert exact.decoded(table, known, x, left.to_bytes()) == mixed
  assert left.bits < places + 256


def test_what_has_no_category_or_lies_beyond_the_bins_is_told():
  for row, said in (
    (["c", "1", "01.01.1970", "1,00"], ("job", "c", "which the model has not")),
    (["a", "71", "01.01.1970", "1,00"], ("age", "71", "which lies beyond the model's bins")),
    (["a", "1", "01.01.1970", "1,001"], ("paid", "1,001", "which the model would write '1,00'")),
  ):
    assert exact.encoded(TABLE, [{}] * 4, [[cell] for cell in row]) is None
    assert exact.strange(TABLE, row) == said
  assert exact.strange(TABLE, ["a", "1", "01.01.1970", "1"]) is None


def test_numbers_with_any_digits_are_refused_by_name():
  anything = Column("weight", "numeric", bins=Bins((0.0, 1.0)), form=Form(None))
  with pytest.raises(InputError, match="numbers of 'weight' have any digits"):
    exact.check(Table((*COLUMNS, anything), frozenset()))
  exact.check(Table((anything._replace(bins=Bins((), (0.123456789,))), *COLUMNS), frozenset()))
