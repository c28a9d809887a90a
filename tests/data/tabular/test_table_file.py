"""Tables as people keep them: each is read right, or refused in a line that names the place and the remedy."""

import datetime
import json

import numpy as np
import pytest

from catgen.data.codecs import from_spec
from catgen.data.sets.table_file import table_file
from catgen.data.tabular.cells import spelled
from catgen.data.tabular.parquet import columns_of_frame, csv_of
from catgen.interfaces import InputError
from tests.data.tabular.tables import ALL, ROWS, TABLE, columns, decoded, in_rows, read, rows_of, write

CASES = {
  "quoted commas": ('a,b\n"x, y",1\nz,2\n', {"a": ["x, y", "z"], "b": [1, 2]}),
  "line breaks in quotes": ('a,b\n"x\ny",1\nz,2\n', {"a": ["x\ny", "z"]}),
  "quotes in quotes": ('a,b\n"x ""y""",1\nz,2\n', {"a": ['x "y"', "z"]}),
  "windows line breaks": ("a,b\r\nx,1\r\ny,2\r\n", {"a": ["x", "y"], "b": [1, 2]}),
  "a byte order mark": (b"\xef\xbb\xbfa,b\nx,1\ny,2\n", {"a": ["x", "y"]}),
  "UTF-16": (b"\xff\xfe" + "a,b\né,1\ny,2\n".encode("utf-16-le"), {"a": ["é", "y"]}),
  "no line break at the end": ("a,b\nx,1\ny,2", {"b": [1, 2]}),
  "semicolons and decimal commas": ("a;b\n1,5;x\n2,25;y\n", {"a": [1.5, 2.25], "b": ["x", "y"]}),
  "thousands beside decimal commas": ("a;b\n1.234,5;x\n2,25;y\n", {"a": [1234.5, 2.25]}),
  "thousands alone beside decimal commas": ("a;b\n1.234;x\n2,5;y\n", {"a": [1234.0, 2.5]}),
  "thousands beside points": ('a,b\n"1,234.5",x\n2.25,y\n', {"a": [1234.5, 2.25]}),
  "tabs": ("a\tb\nx, y\t1\nz\t2\n", {"a": ["x, y", "z"], "b": [1, 2]}),
  "bars": ("a|b\nx;y|1\nz|2\n", {"a": ["x;y", "z"]}),
  "sep=": ("sep=;\na;b\nx,y;1\nz;2\n", {"a": ["x,y", "z"]}),
  "blanks around cells": ("a,b\n x ,1\ny , 2 \n", {"a": ["x", "y"], "b": [1, 2]}),
  "a separator at the end of rows": ("a,b\nx,1,\ny,2,\n", {"a": ["x", "y"], "b": [1, 2]}),
  "a separator at the end of every row": ("a,b,\nx,1,\ny,2,\n", {"a": ["x", "y"], "b": [1, 2]}),
  "blank lines": ("\na,b\n\nx,1\n\n\ny,2\n", {"a": ["x", "y"]}),
  "a name twice": ("a,a\nx,1\ny,2\n", {"a": ["x", "y"], "a_2": [1, 2]}),
  "a column without a name": (",b\nx,1\ny,2\n", {"column_1": ["x", "y"]}),
  "words for nothing": ("a,b\nNA,1\nx,NaN\n?,\n", {"a": [None, "x", None], "b": [1, None, None]}),
  "a row of nothing": ("a,b\n,\nx,1\n", {"a": [None, "x"], "b": [None, 1]}),
  "truth": ("a,b\nTrue,1\nFalse,2\n", {"a": [True, False]}),
  "truth in two spellings": ("a,b\nTrue,1\nTRUE,2\n", {"a": ["True", "TRUE"]}),
  "mixed types": ("a,b\n1,1\nx,2\n2020-01-01,3\n", {"a": ["1", "x", "2020-01-01"]}),
  "codes": ("a,b\n007,1\n012,2\n", {"a": ["007", "012"]}),
  "one number in three spellings": ("a,b\n1.0,1\n1,2\n2,3\n1.00,4\n1,5\n", {"a": [1, 1, 2, 1, 1]}),
  "a constant column": ("a,b\nx,1\nx,2\n", {"a": ["x", "x"], "b": [1, 2]}),
  "a column of nothing": ("a,b\n,1\nNA,2\n", {"a": [None, None]}),
  "one column": ("a\nx\ny\n", {"a": ["x", "y"]}),
  "one column with nothing": ('a\nx\n""\ny\n', {"a": ["x", None, "y"]}),
  "dates of three forms": (
    "a,b,c\n31.01.2020,2020-01-31,2020-01-31 10:00:00\n01.02.2020,2020-02-01,2020-02-01 23:59:59\n",
    {"a": ["31.01.2020", "01.02.2020"], "c": ["2020-01-31 10:00:00", "2020-02-01 23:59:59"]},
  ),
  "exponents": ("a,b\n1e-9,1\n2.5E3,2\n", {"a": [1e-9, 2500.0]}),
}


@pytest.mark.parametrize("name", CASES)
def test_rough_tables_are_read(name, tmp_path):
  content, expected = CASES[name]
  source = read(tmp_path, content)
  for column, values in expected.items():
    assert decoded(source, column) == values
    assert [type(value) for value in decoded(source, column)] == [type(value) for value in values]
  again = from_spec(json.loads(json.dumps(source.codec.spec)))
  for x in rows_of(source):
    np.testing.assert_array_equal(again.encode(again.decode(x)), x)


MANY = "".join(f"{i}.5,x\n" for i in range(100))
REFUSED = {
  "a long row": ("a,b\nx,1\ny,2,3\n", {}, r"line 3 has 3 cells, the first row 2; correct it, put quotes .* separator="),
  "a short row": ("a,b,c\nx,1\n", {"separator": ","}, "line 2 has 2 cells"),
  "a row after a cell of two lines": ('a,b\n"x\ny",1\nz\n', {}, "line 4 has 1 cells"),
  "quotes without end": ('a,b\n"x,1\n', {}, r"line \d is no row .*correct the quotes"),
  "no rows": ("a,b\n", {}, "has no rows; bring at least one"),
  "nothing": ("\n\n", {}, "only blank lines"),
  "only empty cells": (",\n,\n", {}, "only empty cells"),
  "rows alike": ("a,b\nx,1\nx,1\n", {}, "nothing to learn: every column has one value"),
  "decimals or thousands": (
    'a,b\n"1,234",x\n"5,678",y\n',
    {},
    r"'1,234' in line 2 may have decimals or thousands.*say",
  ),
  "days or months": ("a,b\n01/02/2020,1\n03/04/2020,2\n", {}, r"column 'a' has dates such as 01/02/2020, which may be"),
  "a word among numbers": (
    f"a,b\n{MANY}oops,x\n",
    {},
    r"'a' has numbers, but in line 102 'oops'; .*missing=",
  ),
  "infinity among numbers": (f"a,b\n{MANY}inf,x\n", {}, "in line 102 'inf'"),
  "another encoding": (
    "a,b\né,1\n".encode("latin-1"),
    {},
    "is not UTF-8: byte 0xe9 at offset 4; give its encoding .*, or save it as UTF-8",
  ),
  "no such column to drop": ("a,b\nx,1\ny,2\n", {"drop": ["c"]}, "no column 'c', which drop names; it has 'a', 'b'"),
  "no such label": ("a,b\nx,1\ny,2\n", {"labels": ["c"]}, "no column 'c', which labels names"),
  "no column left": ("a,b\nx,1\ny,2\n", {"drop": ["a"], "labels": ["b"]}, "keep at least one"),
  "two characters": ("a,b\nx,1\n", {"separator": "::"}, "separator is '::'; give one character"),
  "no such sign": ("a,b\nx,1\n", {"decimal": "x"}, "decimal is 'x'; give"),
  "no such rule": ("a,b\nx,1\n", {"unknown": "drop"}, "unknown is 'drop'; give"),
  "no bins": ("a,b\nx,1\n", {"num_bins": 0}, "num_bins is 0"),
  "no spike": ("a,b\nx,1\n", {"spike": 0.0}, "spike is 0.0"),
  "no schema": ("a,b\nx,1\n", {"schema": "/no/schema.json"}, "/no/schema.json does not exist"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_table_is_a_line_with_the_place_and_the_remedy(name, tmp_path):
  content, keys, message = REFUSED[name]
  with pytest.raises(InputError, match=message) as caught:
    read(tmp_path, content, **keys)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
  ("keys", "values"),
  [({"missing": ["x"]}, [None, "NA", "z"]), ({"decimal": ".", "encoding": "utf-8"}, ["x", None, "z"])],
)
def test_keys_change_what_cells_say(keys, values, tmp_path):
  assert decoded(read(tmp_path, "a,b\nx,1\nNA,2\nz,3\n", **keys), "a") == values


def test_decimal_signs_and_forms_may_be_said(tmp_path):
  thousands = 'a,b\n"1,234",x\n"5,678",y\n'
  assert decoded(read(tmp_path, thousands, decimal="."), "a") == [1234, 5678]
  assert decoded(read(tmp_path, thousands, decimal=","), "a") == [1.234, 5.678]
  latin = "a,b\né,1\nx,2\n".encode("latin-1")
  assert decoded(read(tmp_path, latin, encoding="latin-1"), "a") == ["é", "x"]
  headless = read(tmp_path, "x,1\ny,2\n", header=False)
  assert decoded(headless) == [{"column_1": "x", "column_2": 1}, {"column_1": "y", "column_2": 2}]


def containers(folder):
  yield write(folder, in_rows(), "comma.csv")
  yield write(folder, in_rows(";", ","), "semicolon.csv")
  yield write(folder, in_rows("\t"), "tab.tsv")
  yield write(folder, in_rows().encode("utf-16"), "wide.csv")
  yield write(folder, in_rows().replace("True", "true").replace("2020-", " 2020-"), "spelled.csv")
  arrow = pytest.importorskip("pyarrow")
  parquet = pytest.importorskip("pyarrow.parquet")
  typed = {**TABLE, "day": np.array(TABLE["day"], "datetime64[D]")}
  for name, table in (("a.parquet", arrow.table(TABLE)), ("b.parquet", arrow.table(typed))):
    parquet.write_table(table, folder / name)
    yield str(folder / name)


def test_the_container_changes_neither_rows_nor_splits(tmp_path):
  first = None
  for path in containers(tmp_path):
    source = table_file(path, unknown="other", splits=(0.7, 0.15, 0.15))
    found = {name: rows_of(source, name) for name in source.splits}
    if first is None:
      first, fingerprint = found, source.fingerprint
    for name, x in found.items():
      np.testing.assert_array_equal(x, first[name], err_msg=path)
    assert source.fingerprint == fingerprint
  assert sum(map(len, first.values())) == ROWS


def test_the_order_of_rows_changes_no_column_and_no_split(tmp_path):
  order = np.random.default_rng(1).permutation(ROWS).tolist()
  sources = [
    table_file(write(tmp_path, in_rows(order=each), "t.csv"), unknown="other", splits=(0.7, 0.15, 0.15))
    for each in (None, order)
  ]
  assert sources[0].codec.spec == sources[1].codec.spec
  for name in sources[0].splits:
    one, other = (sorted(map(tuple, rows_of(source, name).tolist())) for source in sources)
    assert one == other


def test_equal_rows_lie_in_one_split_by_rule_3_however_they_are_spelled(tmp_path):
  lines = [f"{i},{i}.50,{'NA' if i % 2 else ''}\n{i}.0, {i}.5,?\n" for i in range(40)]
  source = read(tmp_path, "a,b,c\n" + "".join(lines), splits=(0.6, 0.2, 0.2), unknown="other", split_rule=3)
  for name, split in source.splits.items():
    assert split.num_examples % 2 == 0, name


@pytest.mark.parametrize("rule", ["error", "missing", "other"])
def test_what_training_has_not_goes_by_the_rule(rule, tmp_path):
  content = "a,b\n" + "x,1\ny,2\n" * 5 + "z,\n"
  keys = {"splits": (10, 1, 0), "unknown": rule}
  if rule == "error":
    with pytest.raises(InputError, match=r"'a' has 'z' in line 12, of the validation split.*unknown="):
      read(tmp_path, content, **keys)
    with pytest.raises(InputError, match=r"column 'b' has no value in line 12.*unknown="):
      read(tmp_path, content, drop=["a"], **keys)
    return
  source = read(tmp_path, content, **keys)
  row = source.codec.decode(rows_of(source, "validation")[0])
  assert row == ({"a": None, "b": None} if rule == "missing" else {"a": "<other>", "b": "<other>"})
  assert source.event.sizes == (3, 3)
  np.testing.assert_array_equal(source.codec.encode(row), rows_of(source, "validation")[0])


def test_rows_of_no_split_may_hold_anything(tmp_path):
  assert read(tmp_path, "a,b\nx,1\ny,2\nz,3\n", splits=(2, 0, 0)).event.sizes == (2, 2)


def test_what_is_learned_is_learned_from_training_alone(tmp_path):
  numbers = [f"{i},x\n" for i in range(100)]
  one, other = (
    read(tmp_path, "a,b\n" + "".join(numbers) + "1,y\n" + more, splits=(101, 1, 0), num_bins=8)
    for more in ("5,x\n", "999999,x\n")
  )
  assert one.codec.spec == other.codec.spec
  assert columns(one)["a"].bins.number == 8
  assert rows_of(other, "validation")[0, 0] == 7  # beyond the edges: the last bin


def test_labels_are_given_and_no_part_of_a_row(tmp_path):
  source = read(tmp_path, "a,b,c\nx,1,red\ny,2,\nx,2,green\n", labels=["c"])
  assert source.event.shape == (2,)
  assert source.attributes[0].name == "c"
  assert source.attributes[0].values == ("green", "red")
  batch = source.splits["train"].examples(np.arange(3))
  np.testing.assert_array_equal(batch.given, [[1], [2], [0]])


def test_tables_may_be_wide(tmp_path):
  wide = read(tmp_path, ",".join(f"c{i}" for i in range(200)) + "\n" + ",".join("x" * 200) + "\n" + "y," * 200)
  assert wide.event.sizes == (2,) * 200


def test_tables_may_have_one_column_a_constant_one_or_rows_of_gaps_alone(tmp_path):
  assert read(tmp_path, "a\nx\ny\nx\n").event.sizes == (2,)
  assert read(tmp_path, "a,b\nx,1\nx,2\n").event.sizes == (1, 2)
  gaps = read(tmp_path, "a,b\nx,1\n,\ny,2\n")
  assert gaps.event.sizes == (3, 3)
  assert decoded(gaps)[1] == {"a": None, "b": None}
  assert read(tmp_path, "a,b\n,1\nNA,2\n").event.sizes == (1, 2)  # nothing but gaps: a category that is missing


@pytest.mark.slow
def test_columns_may_have_many_categories(tmp_path):
  many = read(tmp_path, "a,b\n" + "".join(f"t{i},{i % 2}\n" for i in range(50_000)))
  assert many.event.sizes == (50_000, 2)
  assert decoded(many, "a")[49_999] == "t49999"
  assert sorted(rows_of(many)[:, 0].tolist()) == list(range(50_000))


def test_very_many_numbers_are_kept_as_numbers_and_read_as_few_are(tmp_path, monkeypatch):
  lines = "".join(f"{i / 100:.2f},{'NA' if i % 5 == 0 else i},2020-01-01 00:00:{i % 60:02}\n" for i in range(400))
  few = read(tmp_path, "a,b,c\n" + lines, splits=(0.8, 0.1, 0.1), unknown="other")
  monkeypatch.setattr("catgen.data.tabular.grid.MANY", 40)
  monkeypatch.setattr("catgen.data.tabular.delimited._CHUNK", 64)
  many = read(tmp_path, "a,b,c\n" + lines, splits=(0.8, 0.1, 0.1), unknown="other")
  assert many.codec.spec == few.codec.spec
  assert many.fingerprint == few.fingerprint
  with pytest.raises(InputError, match="column 'a' has numbers, but in line 402 'x'"):
    read(tmp_path, "a,b,c\n" + lines + "x,1,2020-01-01 00:00:00\n")
  monkeypatch.setattr("catgen.data.tabular.delimited.Layout.__new__.__defaults__", (".", frozenset(), 50))
  with pytest.raises(InputError, match=r"column 'a' has more than 50 different texts.*drop=a"):
    read(tmp_path, "a,b\n" + "".join(f"t{i},x\n" for i in range(100)))


class Series:
  """What a column of a data frame has."""

  def __init__(self, values):
    self.values = values

  def tolist(self):
    return list(self.values)


class Frame:
  """What a pandas data frame has, as far as it is asked for."""

  def __init__(self, columns):
    self._columns = columns
    self.columns = [name for name, _ in columns]
    self.iloc = self

  def __getitem__(self, where):
    return Series(self._columns[where[1]][1])


def test_frames_are_columns_by_their_places():
  frame = Frame([("a", [1.0, float("nan")]), ("a", ["x", None]), (3, [True, False])])
  assert csv_of(columns_of_frame(frame)).decode() == "a,a_2,3\n1,x,true\n,,false\n"
  assert columns_of_frame({"a": np.arange(2)}) == {"a": [0, 1]}
  hidden = np.ma.array([1.5, 2.5], mask=[False, True])
  assert csv_of(columns_of_frame({"a": hidden, "b": [1, 2]})).decode() == "a,b\n1.5,1\n,2\n"
  assert columns_of_frame([[1, 2]]) is None
  assert columns_of_frame({"a": 3}) is None
  with pytest.raises(InputError, match="column 'b' has 1 cells, others 2"):
    csv_of({"a": [1, 2], "b": [1]})


def test_parquet_without_pyarrow_or_with_lists_is_a_line(tmp_path, monkeypatch):
  arrow = pytest.importorskip("pyarrow")
  parquet = pytest.importorskip("pyarrow.parquet")
  parquet.write_table(arrow.table({"a": [[1], [2]]}), tmp_path / "a.parquet")
  with pytest.raises(InputError, match="column 'a' holds list"):
    table_file(str(tmp_path / "a.parquet"))
  with pytest.raises(InputError, match="is no Parquet file"):
    table_file(write(tmp_path, b"PAR1 hello PAR1", "b.parquet"))

  def absent(name):
    raise ImportError(name)

  monkeypatch.setattr("importlib.import_module", absent)
  with pytest.raises(InputError, match=r'pip install "catgen\[parquet\]"'):
    table_file(str(tmp_path / "a.parquet"))


def test_moments_with_a_time_zone_are_those_of_utc(tmp_path):
  arrow = pytest.importorskip("pyarrow")
  parquet = pytest.importorskip("pyarrow.parquet")
  hours = np.arange(0, 24 * 60, 5)
  moments = np.datetime64("2020-01-01T00:30:00", "us") + hours.astype("timedelta64[h]")
  found = {}
  for zone, unit in ((None, "us"), ("UTC", "us"), ("Europe/Berlin", "ms"), ("+05:30", "ns")):
    values = arrow.array(moments).cast(arrow.timestamp(unit, zone))
    parquet.write_table(arrow.table({"when": values, "b": hours % 2}), tmp_path / "a.parquet")
    source = table_file(str(tmp_path / "a.parquet"), splits=ALL)
    assert columns(source)["when"].kind == "numeric"
    found[zone] = source.fingerprint
  assert len(set(found.values())) == 1
  rows = [moment.replace(tzinfo=datetime.UTC) for moment in moments.tolist()]
  abroad = datetime.timezone(datetime.timedelta(hours=-7))
  for each in (rows, [moment.astimezone(abroad) for moment in rows]):
    assert [spelled(moment) for moment in each] == [str(moment) for moment in moments.tolist()]
