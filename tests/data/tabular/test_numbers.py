"""Cells, bins and rows for all that hypothesis can think of: what is written is read again, and lies where it did."""

import datetime
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catgen.data.tabular import bins as binning
from catgen.data.tabular.cells import DATES, TIMES, Form, form_of, number_of, spelled, spelled_all, written
from catgen.data.tabular.codec import Table, table_codec, table_of, uniforms_of, written_cells
from catgen.data.tabular.columns import Column, Given, Rules, category_names, category_of, learn
from catgen.data.tabular.grid import Cells
from catgen.interfaces import InputError

SOME = settings(deadline=None, derandomize=True, max_examples=25)
RULES = Rules(frozenset({"NA"}), ".", 8, 4, 0.2, "error")
decimals = st.integers(0, 4)


def learned(texts, rules=RULES, given=None):
  distinct = tuple(dict.fromkeys(texts))
  cells = Cells(distinct, np.array([distinct.index(text) for text in texts], np.int32))
  return learn("t", "a", cells, np.arange(len(texts)), "row {}".format, rules, given or Given())


@st.composite
def numbers(draw):
  """Returns cells of numbers with so many decimals, some of them very frequent."""
  places = draw(decimals)
  units = draw(st.lists(st.integers(-(10**7), 10**7), min_size=1, max_size=60))
  units += draw(st.lists(st.sampled_from(units[:3]), max_size=40))
  return [f"{unit / 10**places:.{places}f}" for unit in units]


def test_categories_are_called_by_their_values_or_the_ends_of_their_bins_and_no_two_alike():
  bins = binning.Bins((0.0, 20.0, 70.0), (90.0,))
  column = Column("age", "numeric", bins=bins, form=Form(0), missing="", unknown="other")
  assert category_names(column) == ("0 to 19", "20 to 69", "90", "<other>", "missing")
  assert category_names(Column("a", "categorical", ("NA", "missing"), missing="")) == ("NA", "missing", "missing_2")


@SOME
@given(numbers(), st.integers(1, 12), st.floats(0.01, 1), st.floats(0, 1, exclude_max=True))
def test_a_number_that_is_drawn_lies_in_its_bin_and_is_written_as_the_column_is(texts, num_bins, spike, uniform):
  column = learned(texts, RULES._replace(num_bins=num_bins, spike=spike, few=0))
  values = np.array([float(text) for text in texts])
  categories = binning.categories(values, column.bins)
  assert column.bins.number <= num_bins
  assert column.bins.size == column.size
  np.testing.assert_array_equal(np.unique(categories), np.arange(column.size))  # each category occurs
  places = max(len(text.partition(".")[2]) for text in texts)
  for category in range(column.size):
    number = binning.drawn(category, uniform, column.bins, column.form)
    cell = written(number, column.form)
    assert len(cell.partition(".")[2]) == places
    assert category_of(column, [cell], RULES.missing)[0] == category
    if category < column.bins.number:
      assert column.bins.edges[category] <= number < column.bins.edges[category + 1]
  assert list(column.bins.edges) == sorted(set(column.bins.edges))
  assert values.min() <= min((*column.bins.edges, *column.bins.points))


@SOME
@given(st.lists(st.floats(-1e200, 1e200), min_size=3, max_size=40), st.floats(0, 1, exclude_max=True))
def test_numbers_of_any_size_lie_in_their_bins(values, uniform):
  texts = [repr(value + 0.0) for value in values]
  column = learned(texts, RULES._replace(few=0, num_bins=4))
  for category in range(column.size):
    cell = written(binning.drawn(category, uniform, column.bins, column.form), column.form)
    assert category_of(column, [cell], RULES.missing)[0] == category


def test_draws_in_a_bin_are_uniform_on_the_numbers_of_the_column_without_points():
  """Bin [0, 10) of whole numbers with the points 3 and 9, so that 0, 1, 2, 4 ... 8 remain, an eighth each."""
  bins = binning.Bins((0.0, 10.0, 20.0), (3.0, 9.0))
  drawn = [binning.drawn(0, (i + 0.5) / 800, bins, Form()) for i in range(800)]
  found, counts = np.unique(drawn, return_counts=True)
  assert found.tolist() == [0, 1, 2, 4, 5, 6, 7, 8]
  assert (counts == 100).all()


def test_bins_hold_equally_many_and_spikes_stand_apart():
  """Of 0 .. 63 a quarter each; half of the rows are 1000, a point."""
  texts = [str(i) for i in range(64)] + ["1000"] * 64
  column = learned(texts, RULES._replace(num_bins=4))
  assert column.bins == binning.Bins((0.0, 16.0, 32.0, 48.0, 64.0), (1000.0,))
  categories = category_of(column, texts, RULES.missing)
  np.testing.assert_array_equal(np.bincount(categories), [16, 16, 16, 16, 64])
  outside = category_of(column, ["-5", "999", "1001", "1000"], RULES.missing)
  np.testing.assert_array_equal(outside, [0, 3, 3, 4])


def test_where_few_numbers_differ_each_has_a_category_and_others_go_to_the_nearest():
  column = learned(["1", "2", "5", "9", "20", "1"])
  assert column.kind == "numeric"
  assert column.bins == binning.Bins((), (1.0, 2.0, 5.0, 9.0, 20.0))
  np.testing.assert_array_equal(category_of(column, ["3", "4", "-9", "999"], RULES.missing), [1, 2, 0, 4])
  assert learned(["3", "1", "2", "1"]).values == ("1", "2", "3")
  assert learned(["3", "1", "2", "1"]).kind == "ordinal"


@SOME
@given(st.integers(-(10**9), 10**9), decimals, st.booleans(), st.sampled_from(".,"))
def test_numbers_are_read_as_they_are_written(units, places, grouped, decimal):
  form, value = Form(places, decimal, grouped), units / 10**places
  assert number_of(written(value, form), form) == value


@pytest.mark.parametrize("date", [*DATES, *TIMES])
@SOME
@given(st.integers(-300_000, 300_000), st.integers(0, 86_399))
def test_dates_are_read_as_they_are_written(date, day, second):
  second = second - second % 60 if "%S" not in date else second
  value = float(day * 86_400 + second if "%H" in date else day)
  form = Form(date=date)
  assert number_of(written(value, form), form) == value


@pytest.mark.parametrize(
  "text", ["", "x", "1,5", "1.2.3", "--1", "1e", "1_000", "inf", "nan", "007", "²", "1e999", "0x1"]
)
def test_what_is_no_number_is_none(text):
  assert number_of(text, Form()) is None


@pytest.mark.parametrize(
  ("texts", "form"),
  [
    (["1", "2.50", ".5"], Form(2)),
    (["1e3", "2"], Form(None)),
    (["1,234", "5"], Form(0, ".", True)),
    (["2020-02-30"], None),
    (["13/01/2020", "01/02/2020"], Form(date="%d/%m/%Y")),
    (["1", "2020-01-01"], None),
    ([], None),
  ],
)
def test_the_form_of_cells(texts, form):
  assert form_of(texts, ".") == form


@pytest.mark.parametrize(
  ("value", "cell"),
  [
    (None, ""),
    (math.nan, ""),
    (1.0, "1"),
    (0.1, "0.1"),
    (np.float32(0.1), "0.1"),
    (True, "true"),
    (np.bool_(False), "false"),
    (10**20, str(10**20)),
    (datetime.date(2020, 1, 31), "2020-01-31"),
    (datetime.datetime(2020, 1, 31), "2020-01-31 00:00:00"),
    (datetime.datetime(2020, 1, 31, 12, 5), "2020-01-31 12:05:00"),
  ],
)
def test_values_are_spelled_as_cells(value, cell):
  assert spelled(value) == cell


def test_times_that_are_all_midnight_are_dates():
  days = [datetime.datetime(2020, 1, day) for day in (1, 2)]
  assert spelled_all([*days, None]) == ["2020-01-01", "2020-01-02", ""]
  assert spelled_all([*days, datetime.datetime(2020, 1, 3, 9)])[0] == "2020-01-01 00:00:00"


COLUMNS = (
  Column("a", "categorical", ("x", "y z", "ü"), missing="NA"),
  Column("b", "ordinal", ("1,5", "2,5"), form=Form(1, ",")),
  Column("c", "numeric", bins=binning.Bins((0.0, 2.0, 7.0), (9.0,)), form=Form(0), missing=""),
  Column("d", "numeric", bins=binning.Bins((0.0, 400.0), ()), form=Form(date="%d.%m.%Y")),
  Column("e", "categorical", ("FALSE", "TRUE")),
)
TABLE = Table(COLUMNS, frozenset({"NA"}), ";")
CODEC = table_codec(TABLE)
SIZES = [column.size for column in COLUMNS]
rows = st.tuples(*(st.integers(0, size - 1) for size in SIZES)).map(lambda row: np.array(row, np.int32))


@SOME
@given(rows)
def test_rows_are_encoded_as_they_are_decoded(row):
  values = CODEC.decode(row)
  assert list(values) == ["a", "b", "c", "d", "e"]
  np.testing.assert_array_equal(CODEC.encode(values), row)
  np.testing.assert_array_equal(CODEC.encode(list(values.values())), row)
  np.testing.assert_array_equal(CODEC.encode(row), row)
  assert isinstance(values["c"], int | None)
  assert isinstance(values["b"], float)
  assert isinstance(values["e"], bool)
  assert table_of(CODEC.spec) == TABLE


def test_uniform_numbers_follow_from_the_rows_and_differ_between_equal_ones():
  x = np.ones((50, 5), np.int32)
  one, other = uniforms_of(x), uniforms_of(x + 1)
  np.testing.assert_array_equal(one, uniforms_of(x))
  assert (one != other).all()
  assert len(np.unique(one)) == one.size
  assert 0 <= one.min() < one.max() < 1
  assert len(set(written_cells(TABLE, np.tile(np.array([[0, 0, 0, 0, 0]]), (50, 1)))[3])) > 20


@pytest.mark.parametrize(
  ("values", "found"), [(("False", "True"), [1, 0]), (("TRUE", "True"), [-1, -1]), (("no", "true", "x"), [1, -1])]
)
def test_true_and_false_have_no_case_where_each_has_one_spelling(values, found):
  cells = category_of(Column("a", "categorical", values), ["tRUE", "false"], frozenset())
  np.testing.assert_array_equal(cells, found)


@pytest.mark.parametrize(
  ("row", "message"),
  [
    (
      {"a": "w", "b": 1.5, "c": 1, "d": "01.01.1970", "e": True},
      "column 'a' has 'w', which training has not; it has 'x'",
    ),
    (
      {"a": "x", "c": 1, "d": "01.01.1970", "e": True},
      "column 'b' has no value, but training has none that is missing",
    ),
    ({"z": 1}, "the row has 'z', which is no column; the columns are 'a', 'b'"),
    ([1, 2], "the row has 2 cells, the table 5 columns"),
    ("x", "a row is a str"),
    (3, "a row is a int"),
    (np.array([0, 0, 0, 0, 2]), "category 2 in column 'e', whose categories are 0 to 1"),
    ({"a": "x", "b": 1.5, "c": "many", "d": "01.01.1970", "e": True}, "column 'c' has 'many'"),
  ],
)
def test_rows_that_do_not_fit_are_a_line(row, message):
  with pytest.raises(InputError, match=message):
    CODEC.encode(row)
