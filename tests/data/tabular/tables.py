"""Tables as files, and what is read of them."""

import csv
import io

import numpy as np

from catgen.data.sets.table_file import table_file
from catgen.data.tabular.codec import table_of
from catgen.data.tabular.parquet import csv_of

ALL = (1.0, 0, 0)
RNG = np.random.default_rng(0)
ROWS = 120
TABLE = {
  "age": RNG.integers(17, 90, ROWS).tolist(),
  "income": np.round(RNG.lognormal(8, 1, ROWS), 2).tolist(),
  "job": RNG.choice(["clerk", "farmer, big", 'a "b"', "two\nlines", "é"], ROWS).tolist(),
  "rank": RNG.integers(1, 5, ROWS).tolist(),
  "day": [f"2020-{1 + i % 12:02}-{1 + i * i % 28:02}" for i in range(ROWS)],
  "ok": (RNG.random(ROWS) < 0.5).tolist(),
}
TABLE["age"] = [None if i % 7 == 0 else value for i, value in enumerate(TABLE["age"])]


def write(folder, content, name="t.csv"):
  path = folder / name
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  return str(path)


def read(folder, content, name="t.csv", **keys):
  return table_file(write(folder, content, name), **{"splits": ALL, **keys})


def rows_of(source, split="train"):
  return source.splits[split].examples(np.arange(source.splits[split].num_examples)).x


def decoded(source, name=None):
  found = [source.codec.decode(row) for row in rows_of(source)]
  return found if name is None else [row[name] for row in found]


def columns(source):
  return {column.name: column for column in table_of(source.codec.spec).columns}


def in_rows(separator=",", decimal=".", order=None):
  text = csv_of(TABLE, order).decode()
  file = io.StringIO()
  writer = csv.writer(file, delimiter=separator)
  for number, row in enumerate(csv.reader(io.StringIO(text))):
    row[1] = row[1].replace(".", decimal) if number else row[1]
    writer.writerow(row)
  return file.getvalue()
