"""Tables as people keep them: every way to write one gives the same pairs, and what is none is named by its line."""

import json

import pytest

from catgen.data.tables import read_table
from tests.data.test_reading import refused, write

PAIRS = [("0", "red"), ("é b.png", "dark blue"), ("2", "")]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("suffix", [".json", ".JSON", ".csv", ".CSV"])
@pytest.mark.parametrize("breaks", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("last", [True, False])
def test_a_table_has_the_same_pairs_in_every_form(tmp_path, mark, suffix, breaks, last):
  if suffix.lower() == ".json":
    text = json.dumps(dict(PAIRS), indent=1, ensure_ascii=False).replace("\n", breaks)
  else:
    text = breaks.join(map(",".join, PAIRS)) + breaks * last
  assert read_table(write(tmp_path / f"t{suffix}", mark + text.encode()), "labels") == PAIRS


def test_a_field_of_a_table_may_be_quoted(tmp_path):
  path = write(tmp_path / "t.csv", '"a,b.png","say ""hi"""\n"two\nlines",x\n')
  assert read_table(path, "labels") == [("a,b.png", 'say "hi"'), ("two\nlines", "x")]


@pytest.mark.parametrize(
  ("name", "content", "message"),
  [
    ("t.txt", "a,b", r"labels is '.*t\.txt'; give a \.json or a \.csv file"),
    ("t.csv", "a,b,c", r"labels '.*t\.csv' cannot be read \(line 1 has 3 columns, separated by ','\); .*two columns"),
    ("t.csv", "a;b\n\nc", r"cannot be read \(line 3 has 1 column, separated by ';'\); .*two columns"),
    ("t.csv", "a\tb\nc\td\te", r"cannot be read \(line 2 has 3 columns, separated by '\\t'\)"),
    (
      "t.csv",
      "a;b,c",
      r"cannot be read \(it can be separated by ',' and by ';': quote cells, or write the line sep=, ",
    ),
    ("t.csv", 'a,"b\nc,d\n', "cannot be read .line 1: unexpected end of data"),
    ("t.json", "[" * 100_000, "cannot be read"),
    ("t.json", '["a"]', "cannot be read .*an object"),
    ("t.json", '{"a": 1', "cannot be read .*an object"),
    ("t.json", "3", "cannot be read .*an object"),
    ("t.csv", b"\xff,b", "is not UTF-8"),
    ("t.csv", "", "is empty"),
  ],
)
def test_a_table_that_is_none_is_one_line(tmp_path, name, content, message):
  refused(message, read_table, write(tmp_path / name, content), "labels")
