"""What a cell says: no two numbers become one, days are days, and values that are handed in are read like files."""

import datetime
import decimal
import importlib.util

import numpy as np
import pytest

from catgen.data.sets.table_file import table_file
from catgen.data.tabular.cells import Form, form_of, number_of
from catgen.data.tabular.codec import table_of
from catgen.data.tabular.parquet import columns_of_frame
from catgen.interfaces import InputError

ALL = (1.0, 0, 0)


def write(folder, lines, name="t.csv"):
  path = folder / name
  path.write_text("\n".join(lines) + "\n")
  return str(path)


def columns(source):
  return {column.name: column for column in table_of(source.codec.spec).columns}


def test_different_numbers_are_different_floats_or_no_numbers():
  """Python's decimals are the reference: of texts that differ as decimals no two may become the same float."""
  rng = np.random.default_rng(0)
  texts = {f"{rng.integers(1, 10)}{''.join(map(str, rng.integers(0, 10, n)))}" for n in range(1, 25) for _ in range(40)}
  texts |= {f"0.{text}" for text in texts} | {str(2**53 + i) for i in range(9)} | {str(2**60 + i) for i in range(9)}
  texts |= {repr(float(value)) for value in rng.normal(size=200)} | {f"{value:.18e}" for value in rng.normal(size=200)}
  found = {text: number_of(text, Form()) for text in texts}
  held = [text for text in texts if found[text] is not None]
  assert len({decimal.Decimal(text) for text in held}) == len({found[text] for text in held})
  assert all(found[text] is not None for text in texts if len(text.replace("0.", "")) <= 15 or "e" in text)
  assert found[str(2**53 + 1)] is None
  assert all(found[repr(float(text))] is not None for text in texts if repr(float(text)) in found)


@pytest.mark.parametrize(
  "texts", [[str(20240115093000000000 + i) for i in range(30)], [f"0.1234567890123456{i}" for i in range(10, 40)]]
)
def test_numbers_beyond_floats_stay_texts(tmp_path, texts):
  source = table_file(write(tmp_path, ["id,b", *(f"{text},{i % 2}" for i, text in enumerate(texts))]), splits=ALL)
  column = columns(source)["id"]
  assert column.kind == "categorical"
  assert sorted(column.values) == sorted(texts)


MOMENTS = {
  "blank": "2020-03-{:02} 00:00:00",
  "T": "2020-03-{:02}T00:00:00",
  "Z": "2020-03-{:02}T00:00:00Z",
  "short": "2020-03-{:02} 00:00",
}


@pytest.mark.parametrize("form", MOMENTS.values(), ids=list(MOMENTS))
def test_times_that_are_all_midnight_come_out_at_midnight(tmp_path, form):
  lines = ["day,b", *(f"{form.format(1 + 3 * i % 31)},{i % 2}" for i in range(60))]
  source = table_file(write(tmp_path, lines), splits=ALL, num_bins=4)
  assert columns(source)["day"].kind == "numeric"
  assert {source.codec.decode(row)["day"] for row in source.splits["train"].examples(np.arange(60)).x} <= {
    form.format(day) for day in range(1, 32)
  }
  assert (
    "%H"
    in form_of([*(line.split(",")[0] for line in lines[1:]), form.format(1).replace("00:00", "01:00", 1)], ".").date
  )


def test_days_some_with_a_midnight_behind_them_are_days(tmp_path):
  lines = ["day,b", *(f"2020-03-{1 + 3 * i % 31:02}{' 00:00:00' * (i % 3 == 0)},{i % 2}" for i in range(60))]
  found = columns(table_file(write(tmp_path, lines), splits=ALL))["day"]
  assert (found.kind, found.form.date) == ("numeric", "%Y-%m-%d")
  whole = [line if " " in line else line.replace(",", " 00:00:00,") for line in lines[1:]]
  schema = write(tmp_path, ['{"columns": [{"name": "day", "kind": "numeric", "date": "%Y-%m-%d"}]}'], "schema.json")
  path = write(tmp_path, [lines[0], *whole], "whole.csv")
  assert columns(table_file(path, splits=ALL, schema=schema))["day"].form.date == "%Y-%m-%d"


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%Y-%m-%d 00:00:00", "%Y-%m-%d %H:%M:%S"])
def test_days_that_are_handed_in_are_those_of_the_file(tmp_path, form):
  days = [
    datetime.datetime(2020, 1, 1) + datetime.timedelta(days=3 * i, hours=i % 2 if "%H" in form else 0)
    for i in range(40)
  ]
  lines = ["day,b", *(f"{day.strftime(form)},{i % 2}" for i, day in enumerate(days))]
  source = table_file(write(tmp_path, lines), splits=ALL, unknown="other")
  expected = source.splits["train"].examples(np.arange(40)).x[:, 0]
  for convert in (lambda day: day, np.datetime64, lambda day: np.datetime64(day, "ns")):
    assert [source.codec.encode({"day": convert(day), "b": 0})[0] for day in days] == expected.tolist()
  if "%H" not in form:
    assert [source.codec.encode({"day": day.date(), "b": 0})[0] for day in days] == expected.tolist()
    assert source.codec.encode({"day": days[0].replace(hour=1), "b": 0})[0] == columns(source)["day"].known  # other


def test_scalars_of_other_kinds_are_numbers(tmp_path):
  source = table_file(write(tmp_path, ["a,b", *(f"{i / 2},{i % 2}" for i in range(40))]), splits=ALL, unknown="other")
  expected = source.codec.encode({"a": 1.5, "b": 1})
  for number in (np.float32(1.5), np.float64(1.5), np.float16(1.5), decimal.Decimal("1.50"), "1.5"):
    assert source.codec.encode({"a": number, "b": np.int8(1)}).tolist() == expected.tolist()


def test_frames_that_are_lazy_or_no_columns_are_a_line():
  lazy = type("LazyFrame", (), {})()
  with pytest.raises(InputError, match="is lazy"):
    columns_of_frame(lazy)
  days = columns_of_frame({"day": np.array(["2020-01-01", "2020-02-01"], "datetime64[ns]")})
  assert [str(day)[:10] for day in days["day"]] == ["2020-01-01", "2020-02-01"]


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="needs pyarrow")
def test_moments_of_parquet_are_days_where_all_are_midnight_and_keep_nanoseconds(tmp_path):
  import pyarrow as pa
  import pyarrow.parquet as pq

  days = np.arange(40) * 86_400_000_000_000
  for name, values in {"day": days, "fine": days + np.arange(40)}.items():
    path = str(tmp_path / f"{name}.parquet")
    pq.write_table(pa.table({"t": pa.array(values, pa.timestamp("ns")), "b": [i % 2 for i in range(40)]}), path)
    column = columns(table_file(path, splits=ALL))["t"]
    assert (column.form and column.form.date) == ("%Y-%m-%d" if name == "day" else None)
    assert column.size == 40


def test_the_odd_cell_of_a_column_is_blamed(tmp_path):
  days = [f"2020-{1 + i // 28:02}-{1 + i % 28:02},{i % 2}" for i in range(60)]
  with pytest.raises(InputError, match=r"dates %Y-%m-%d, but in line 9 '2020-02-30'"):
    table_file(write(tmp_path, ["day,b", *days[:7], "2020-02-30,1", *days[7:]]), splits=ALL, unknown="other")


LINES = {
  "carriage returns": ("a,b\rx,1\ry,2\r", "carriage returns alone as line breaks; write the file with line feeds"),
  "a title": ("My table\na,b\nx,1\ny,2\n", "delete the first row if it is a title"),
  "one value": ("a,b\n" + "x,1\n" * 40, "nothing to learn"),
}


@pytest.mark.parametrize(("content", "line"), LINES.values(), ids=list(LINES))
def test_files_that_cannot_be_read_say_what_to_do(tmp_path, content, line):
  (tmp_path / "t.csv").write_bytes(content.encode())
  with pytest.raises(InputError, match=line):
    table_file(str(tmp_path / "t.csv"))


SUSPECTS = {
  "minus": (
    [("\u2212" if i % 3 == 0 else "") + f"{i}.5" for i in range(60)],
    "'\u22120.5' in line 2: numbers but for few",
  ),
  "dash": ([str(i) if i % 9 else "-" for i in range(60)], "'-' in line 2: numbers but for few"),
  "currency": ([f"${i}.50" for i in range(60)], "leave the column out by drop=a where it only numbers the rows"),
  "days": ([f"202001{1 + i % 28:02}" for i in range(60)], "look like days"),
  "long": ([str(10**18 + i) for i in range(60)], "more digits than 64-bit floats keep"),
  "large": ([str(i) for i in range(50)] + ["2e300"], "'2e300' in line 52: a number beyond 1e+300, the largest that a"),
  "infinite": (
    [f"{i}e299" for i in range(9, 60)] + ["inf"],
    "table takes, and 'inf', which is no number, so that each",
  ),
}


@pytest.mark.parametrize(("texts", "line"), SUSPECTS.values(), ids=list(SUSPECTS))
def test_columns_that_may_be_meant_otherwise_are_told(tmp_path, texts, line):
  rows = ["a,b", *(f"{text},{i % 2}" for i, text in enumerate(texts))]
  (warning,) = table_file(write(tmp_path, rows), splits=ALL, unknown="other").warnings
  assert line in warning
