"""Schemas of tables: the same columns again, others where they are changed, and a line for a mistake."""

import json

import numpy as np
import pytest

from catgen.data.sets.table_file import table_file
from catgen.data.tabular.codec import table_of
from catgen.data.tabular.schema import schema_text
from catgen.interfaces import InputError
from tests.data.tabular.tables import columns, decoded, in_rows, read, rows_of, write


@pytest.mark.parametrize("change", ["nothing", "only kinds"])
def test_a_schema_gives_the_same_columns_again(change, tmp_path):
  path = write(tmp_path, in_rows())
  first = table_file(path, unknown="other")
  text = schema_text(table_of(first.codec.spec).columns)
  if change == "only kinds":
    text = json.dumps({"columns": [{k: c[k] for k in ("name", "kind")} for c in json.loads(text)["columns"]]})
  schema = write(tmp_path, text, "schema.json")
  second = table_file(path, unknown="other", schema=schema)
  assert second.codec.spec == first.codec.spec
  assert second.fingerprint == first.fingerprint


def test_a_schema_changes_kinds_orders_and_what_is_left_out(tmp_path):
  content = "a,b,c,d\n1,low,x,03/04/2020\n2,high,y,05/06/2020\n1,mid,z,07/08/2021\n"
  changes = [
    {"name": "a", "kind": "categorical"},
    {"name": "b", "kind": "ordinal", "values": ["low", "mid", "high"]},
    {"name": "c", "kind": "drop"},
    {"name": "d", "kind": "numeric", "date": "%d/%m/%Y"},
  ]
  schema = write(tmp_path, json.dumps({"columns": changes}), "schema.json")
  source = read(tmp_path, content, schema=schema)
  assert [column.kind for column in columns(source).values()] == ["categorical", "ordinal", "numeric"]
  np.testing.assert_array_equal(rows_of(source), [[0, 0, 0], [1, 2, 1], [0, 1, 2]])
  assert decoded(source, "a") == ["1", "2", "1"]
  assert decoded(source, "d") == ["03/04/2020", "05/06/2020", "07/08/2021"]


@pytest.mark.parametrize(
  ("schema", "message"),
  [
    ("{", "is no JSON"),
    ("[]", "has no list of columns"),
    ('{"columns": [3]}', "a column is 3; an object"),
    ('{"columns": [{"name": "z"}]}', "no column 'z', which schema names"),
    ('{"columns": [{"name": "a", "kind": "real"}]}', "'a' is of kind 'real'; give categorical"),
    ('{"columns": [{"name": "a", "type": "x"}]}', "has the field 'type'; the fields are"),
    ('{"columns": [{"name": "a"}, {"name": "a"}]}', "names column 'a' twice"),
    ('{"columns": [{"name": "a", "kind": "ordinal", "values": ["x", "x"]}]}', "there twice"),
    ('{"columns": [{"name": "b", "kind": "numeric", "edges": [2, 1]}]}', "each larger than the one before"),
    ('{"columns": [{"name": "b", "kind": "numeric", "edges": [1]}]}', "one edge"),
    ('{"columns": [{"name": "b", "kind": "numeric", "edges": [0, 1.5]}]}', "1.5 has more than 0 decimals; round"),
    (
      '{"columns": [{"name": "b", "kind": "numeric", "edges": [0, 1], "points": [0]}]}',
      "begins at 0.0 has no number",
    ),
    (
      '{"columns": [{"name": "c", "kind": "numeric", "edges": [0, 9e99], "date": "%Y-%m-%d"}]}',
      "no calendar has",
    ),
    ('{"columns": [{"name": "b", "date": "%Y"}]}', "'%Y' is no form of dates"),
    ('{"columns": [{"name": "a", "kind": "numeric"}]}', "column 'a' has numbers, but in line 2 'x'"),
    ('{"columns": [{"name": "a", "kind": "ordinal", "values": ["x"]}]}', "column 'a' has 'y' in line 3, of the train"),
  ],
)
def test_mistakes_in_a_schema_are_a_line(schema, message, tmp_path):
  path = write(tmp_path, schema, "schema.json")
  with pytest.raises(InputError, match=message):
    read(tmp_path, "a,b,c\nx,1,2020-01-01\ny,2,2020-01-02\n", schema=path)
