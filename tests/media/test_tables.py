"""Rows of tables: typed, written and read again, with the holes that a user marks."""

import json

import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.data.tabular.bins import Bins
from catgen.data.tabular.cells import Form
from catgen.data.tabular.codec import Table, table_codec
from catgen.data.tabular.columns import Column
from catgen.interfaces import EventSpec, InputError
from catgen.media import media_of
from catgen.media.medium import HOLE, reader

COLUMNS = (
  Column("name, first", "categorical", ("x", 'y "z"', "two\nlines", "_a"), missing="NA"),
  Column("b", "ordinal", ("1,5", "2,5"), form=Form(1, ",")),
  Column("c", "numeric", bins=Bins((0.0, 20.0, 70.0), (90.0,)), form=Form(0)),
)
SIZES = tuple(column.size for column in COLUMNS)
MEDIA = media_of(
  EventSpec((3,), max(SIZES), sizes=SIZES), table_codec(Table(COLUMNS, frozenset({"NA", "?"}), ";")), "column"
)
X = np.array([[0, 0, 0], [1, 1, 1], [2, 0, 2], [3, 1, 0], [4, 0, 1]], np.int32)
EVERY = np.stack(np.meshgrid(*map(np.arange, SIZES), indexing="ij"), -1).reshape(-1, 3).astype(np.int32)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.npy"])
@pytest.mark.parametrize("x", [X, EVERY], ids=["some", "every"])
def test_what_is_written_is_read_again(name, x, tmp_path):
  path = str(tmp_path / name)
  MEDIA.check_output(path, invalid=False)
  MEDIA.written(path, batch_of(x))
  np.testing.assert_array_equal(MEDIA.read(path).x, x)
  np.testing.assert_array_equal(MEDIA.read_holes(path).x, x)
  first = (tmp_path / name).read_bytes()
  MEDIA.written(path, batch_of(x))
  assert (tmp_path / name).read_bytes() == first


def test_a_csv_file_has_the_form_of_the_training_file(tmp_path):
  path = tmp_path / "a.csv"
  MEDIA.written(str(path), batch_of(X[[0, 1, 4]]))
  lines = path.read_text().split("\n")
  assert lines[0] == '"name, first";b;c' or lines[0] == "name, first;b;c"
  assert lines[1].startswith("x;1,5;")
  assert lines[2].startswith('"y ""z""";2,5;')
  assert lines[3].startswith("NA;1,5;")


@pytest.mark.parametrize(
  "examples",
  [
    [{"name, first": "x", "b": 1.5, "c": 3}, {"b": 2.5, "c": 90}],
    [["x", "1,5", "3"], [None, 2.5, 90.0]],
    {"name, first": ["x", "?"], "b": [1.5, 2.5], "c": [3, 90]},
    np.array([[0, 0, 0], [4, 1, 2]]),
  ],
  ids=["dicts", "lists", "columns", "categories"],
)
def test_rows_may_be_typed_in_many_ways(examples):
  np.testing.assert_array_equal(MEDIA.typed(examples).x, [[0, 0, 0], [4, 1, 2]])


def test_holes_are_cells_that_the_user_chooses_and_empty_ones_where_nothing_is_missing(tmp_path):
  path = tmp_path / "gaps.csv"
  path.write_text("c;id;b;name, first\n_;1;;_\n5;2;_;\n")
  np.testing.assert_array_equal(MEDIA.read_holes(str(path)).x, [[HOLE, HOLE, HOLE], [4, HOLE, 0]])
  path.write_text("c;id;b;name, first\n??;1;1,5;x\n")
  np.testing.assert_array_equal(MEDIA.read_holes(str(path), hole="??").x, [[0, 0, HOLE]])
  np.testing.assert_array_equal(MEDIA.typed_holes([{"b": 2.5}]).x, [[HOLE, 1, HOLE]])
  with pytest.raises(InputError, match=r"gaps.csv: column 'c' has '\?\?' in line 2, which training has not"):
    MEDIA.read_holes(str(path))


@pytest.mark.parametrize("name", ["filled.csv", "filled.jsonl"])
def test_what_is_filled_keeps_all_other_cells_as_they_were(name, tmp_path):
  path, output = tmp_path / "gaps.csv", tmp_path / name
  path.write_text("c;id;b;name, first\n_;007;1,5;x\n5;a;_;?\n")
  rows, x = np.array([1, 1, 0]), np.array([[4, 1, 0], [4, 0, 0], [0, 0, 2]], np.int32)
  lines = MEDIA.filled(str(path), rows, x, hole="_", output=None)
  shown = [["5", "a", "2,5", "?"], ["5", "a", "1,5", "?"], ["90", "007", "1,5", "x"]]
  assert [line.split() for line in lines[2:]] == shown
  MEDIA.filled(str(path), rows, x, hole="_", output=str(output))
  if name.endswith("csv"):
    assert output.read_text() == "c;id;b;name, first\n5;a;2,5;?\n5;a;1,5;?\n90;007;1,5;x\n"
  else:
    first = json.loads(output.read_text().split("\n")[0])
    assert first == {"c": 5, "id": "a", "b": 2.5, "name, first": None}


@pytest.mark.parametrize(
  ("content", "name", "message"),
  [
    ("b;c\n1,5;2\n", "a.csv", "has no column 'name, first'; it has 'b', 'c'"),
    ("name, first;b;c\nx;1,5\n", "a.csv", "line 2 has 2 cells, the first row 3"),
    (
      "name, first;b;c\nx;3,5;1\n",
      "a.csv",
      "column 'b' has '3,5' in line 2, which training has not; it has '1,5', '2,5'",
    ),
    ("name, first;b;c\nx;;1\n", "a.csv", "column 'b' has no value in line 2"),
    ('{"b": [1]}\n', "a.jsonl", "line 1: an object of texts and numbers"),
    ("{\n", "a.jsonl", "line 1: .*one object a line"),
    ('{"name, first": "x", "b": 1.5, "c": 1}\n\n{"b": 9}\n', "a.jsonl", "column 'b' has '9' in line 3"),
    ("x", "a.pdf", "is no table that can be read"),
  ],
)
def test_files_that_do_not_fit_are_a_line(content, name, message, tmp_path):
  (tmp_path / name).write_text(content)
  with pytest.raises(InputError, match=message):
    MEDIA.read(str(tmp_path / name))


def test_rows_are_shown_as_a_table_and_an_array_of_categories_must_fit(tmp_path):
  lines = MEDIA.shown(batch_of(X))
  assert lines[0].split()[:2] == ["name,", "first"]
  assert len(lines) == 2 + len(X)
  assert not any("\n" in line for line in lines)
  np.save(tmp_path / "a.npy", np.array([[0, 2, 0]]))
  with pytest.raises(InputError, match="category 2 in column 'b'"):
    MEDIA.read(str(tmp_path / "a.npy"))
  with pytest.raises(InputError, match="leave --forbid out"):
    MEDIA.named("x")
  with pytest.raises(InputError, match=r"ends in \.txt"):
    MEDIA.check_output("a.txt", invalid=False)


def test_files_of_rows_have_an_encoding(tmp_path):
  (tmp_path / "a.csv").write_bytes("name, first;b;c\nx;1,5;1\n".encode("utf-16-le"))
  read = reader(MEDIA, str(tmp_path / "a.csv"), "utf-16-le")
  np.testing.assert_array_equal(read(str(tmp_path / "a.csv")).x, [[0, 0, 0]])


def test_statistics_are_of_columns_by_themselves():
  rows = MEDIA.compared({"samples": batch_of(X[:2]), "training": batch_of(X[:2][::-1])})
  assert rows[0] == ["rows", "2", "2"]
  assert rows[1][1:] == ["1.000", "1.000"]  # each of the three columns has two values, once each
  assert rows[2][1:] == ["0.0000", "0.0000"]
