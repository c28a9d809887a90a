"""Text that users have: whatever editor, spreadsheet or archive it comes from, it is what they meant, or one line."""

import codecs
import csv
import gzip
import io
import itertools
import json
import os

import numpy as np
import pytest

from catgen.data import reading, splits, summary
from catgen.data.sets.text_file import text_file
from catgen.data.sets.text_folder import text_folder
from catgen.data.sets.text_lines import text_lines
from catgen.data.sets.text_table import text_table
from catgen.media import media_of
from catgen.media.medium import reader
from catgen.media.text import read_lines
from catgen.sources import Attribute
from tests.cases.texts import texts, write
from tests.refusals import refused

LINES = ["Zoë", "naïve", "", "Œuvre", "e\u0301te\u0301", "a\x0bb\x0cc\x85d\u2028e"]
ENCODINGS = {
  "utf-8": (b"", "utf-8"),
  "utf-8 with mark": (codecs.BOM_UTF8, "utf-8"),
  "utf-16-le with mark": (codecs.BOM_UTF16_LE, "utf-16-le"),
  "utf-16-be with mark": (codecs.BOM_UTF16_BE, "utf-16-be"),
}


@pytest.mark.parametrize("breaks", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ENCODINGS)
def test_c2_text_is_the_same_from_every_editor_wherever_it_is_read(tmp_path, name, breaks):
  mark, encoding = ENCODINGS[name]
  path = write(tmp_path / "a.txt", mark + breaks.join(LINES).encode(encoding))
  plain = write(tmp_path / "b.txt", "\n".join(LINES))
  source = text_lines(path, 16, splits=(1.0, 0, 0))
  assert texts(source) == [line for line in LINES if line]
  assert source.fingerprint == text_lines(plain, 16, splits=(1.0, 0, 0)).fingerprint
  assert source.bytes_per_position == len("".join(LINES).encode()) / len("".join(LINES))  # of UTF-8
  assert read_lines(path) == {number: line for number, line in enumerate(LINES, 1) if line}
  stream = text_file(path, 4, splits=(1.0, 0, 0))
  x = stream.splits["train"].crops(np.arange(stream.splits["train"].num_crops)).x
  assert stream.codec.decode(np.append(x[:, 0], x[-1, 1:])) == breaks.join(LINES)  # a stream keeps what is there


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le"])
@pytest.mark.parametrize("read", [text_lines, text_file])
def test_c2_an_encoding_without_a_mark_is_declared_or_named_with_the_remedy(tmp_path, read, encoding):
  text = "Größe und Maß\n" * 30
  path = write(tmp_path / "a.txt", text.encode(encoding))
  refused(r"a\.txt (is not UTF-8: byte 0xf6 at offset 2|looks like UTF-16 .* at offset 1); give .*encoding", read, path)
  declared = read(path, 13, splits=(1.0, 0, 0), encoding=encoding)
  assert declared.fingerprint == read(write(tmp_path / "b.txt", text), 13, splits=(1.0, 0, 0)).fingerprint
  refused('alphabet="bytes" takes a file as it is; leave out encoding', read, path, 13, "bytes", encoding=encoding)


def test_c2_what_a_command_is_handed_may_be_in_a_declared_encoding_too(tmp_path):
  lines = ["größer", "und"]
  source = text_lines(write(tmp_path / "b.txt", "\n".join(lines * 3)), 6, splits=(1.0, 0, 0))
  media = media_of(source.event, source.codec, source.position)
  path = write(tmp_path / "a.txt", "\n".join(lines).encode("latin-1"))
  batch = reader(media, path, "latin-1")(path)
  assert [source.codec.decode(x, valid) for x, valid in zip(batch.x, batch.valid, strict=True)] == lines
  refused("a.txt is not UTF-8: byte 0xf6 at offset 2; give --encoding", reader(media, path, "utf-8"), path)
  refused("a.npy holds numbers, .* leave out --encoding", reader(media, "a.npy", "latin-1"), "a.npy")
  refused("--encoding=latin-1 says how the text of --input is stored, .* none", reader, media, None, "latin-1")


@pytest.mark.parametrize("form", ["csv", "tsv", "csv.gz", "semicolons", "utf-16", "cp1252"])
def test_c2_a_column_of_a_table_is_the_record_and_others_are_labels(tmp_path, form):
  rows = [["id", "text", "mood"], ["1", "a, b\nc", "good"], ["2", 'say "hä"', "bad"], ["3", "", "x"], ["4", " x ", ""]]
  separator = {"tsv": "\t", "semicolons": ";"}.get(form, ",")
  content = io.StringIO(newline="")
  csv.writer(content, delimiter=separator).writerows(rows)
  data = content.getvalue().encode(form if form in ("utf-16", "cp1252") else "utf-8-sig")
  path = write(
    tmp_path / f"t.{form if form in ('tsv', 'csv.gz') else 'csv'}", gzip.compress(data) if "gz" in form else data
  )
  keywords = {"semicolons": {"separator": ";"}, "cp1252": {"encoding": "cp1252"}}.get(form, {})
  for text, labels in (("text", ("mood", "id")), ("1", ("-1", "0"))):
    named = text == "text"
    source = text_table(path, text, labels, 16, splits=(1.0, 0, 0), **keywords)
    assert texts(source)[not named :] == ["a, b\nc", 'say "hä"', " x "]
    assert "1 rows without a text left out" in summary(source)
    given = source.splits["train"].examples(np.arange(3 + (not named))).given
    values = [
      [(*attribute.values, None)[i] for i in column]
      for attribute, column in zip(source.attributes, given.T, strict=True)
    ]
    assert values[0][not named :] == ["good", "bad", None]
    assert values[1][not named :] == ["1", "2", "4"]
  assert [attribute.name for attribute in source.attributes] == ["-1", "0"]


def test_c2_json_lines_are_records_and_labels(tmp_path):
  rows = [{"text": "a\n\u2028é", "year": 1999, "kind": "x"}, {"text": "b\x0b", "kind": None}, {"year": 3, "text": None}]
  rows.append({"text": "😀", "year": True})
  path = write(
    tmp_path / "a.jsonl",
    codecs.BOM_UTF8 + "\r\n\n".join(json.dumps(row, ensure_ascii=i % 2) for i, row in enumerate(rows)).encode(),
  )
  source = text_table(path, labels=("year", "kind"), length=8, splits=(1.0, 0, 0))
  assert texts(source) == ["a\n\u2028é", "b\x0b", "😀"]
  assert source.attributes == (Attribute("year", ("1999", "true")), Attribute("kind", ("x",)))
  assert source.splits["train"].examples(np.arange(3)).given.tolist() == [[0, 0], [2, 1], [1, 1]]


@pytest.mark.parametrize(
  ("name", "content", "keywords", "message"),
  [
    ("t.csv", "a;text\n1;x\n", {}, "has no column 'text' by separator ','; its first row has 'a;text'"),
    ("t.csv", "text,text\n1,x\n", {}, "has several columns 'text'"),
    (
      "t.csv",
      "text,b\n1,x\n\n1\n",
      {},
      r"the row in line 4 has 1 fields, the first one 2; correct it, or separator ','",
    ),
    ("t.csv", 'text,b\n1,x\n"1,x\n', {}, r"line 3 is no row \(unexpected end of data\); .*quote=''"),
    ("t.tsv", 'text\tb\n"1" of\tx\n', {}, r"line 2 is no row .*quote=''"),
    ("t.csv", "a,b\n1,x\n", {"text": "2"}, "has 2 columns by separator ',', no column 2"),
    ("t.csv", "a,b\n1,x\n", {"text": "0", "labels": ("b",)}, "columns are 0, b; give names, or numbers"),
    ("t.csv", "\n\n", {}, "only blank lines"),
    ("t.csv", "text\n", {}, "no row with a text"),
    ("t.csv", "text,b\nx,\ny,\n", {"labels": ("b",)}, "no record has a b; leave labels out"),
    ("t.csv", "text\nx\n", {"separator": "::"}, "separator is '::' .*; give a character each"),
    ("t.txt", "text\nx\n", {}, r"t\.txt is no table that can be read; give a \.csv, \.tsv or \.jsonl file"),
    ("t.csv", "text\nsch\xf6n\n".encode("latin-1"), {}, "byte 0xf6 at offset 8; give its encoding"),
    ("t.csv", "text\nab\nac\n", {"alphabet": "ab"}, "character 'c' at offset 1 of the row in line 3"),
    ("t.jsonl", '{"text": "a"}\n{"text": "b"', {}, "line 2 is no JSON"),
    ("t.jsonl", '{"text": "a"}\n["b"]', {}, "line 2 is no object"),
    ("t.jsonl", '{"text": "a"}\n{"txt": 1}', {}, "line 2 has no 'text'; it has 'txt'"),
    ("t.jsonl", '{"text": 1}', {}, "'text' of line 1 is no text but 1; convert it"),
    ("t.jsonl", '{"text": "a\\ud800"}', {}, r"line 1 has half a character, '\\ud800'"),
    ("t.jsonl", '{"text": "a", "b": []}', {"labels": ("b",)}, r"a label in line 1 is \[\]"),
  ],
)
def test_c2_a_table_that_cannot_be_read_is_one_line(tmp_path, name, content, keywords, message):
  refused(message, text_table, write(tmp_path / name, content), splits=(1.0, 0, 0), **keywords)


def test_c2_a_field_may_be_long_and_quotes_may_be_text(tmp_path):
  limit = csv.field_size_limit()
  text = 'he said "ab' * 20_000
  source = text_table(write(tmp_path / "t.tsv", f"text\n{text}\n"), length=220_000, splits=(1.0, 0, 0), quote="")
  assert texts(source) == [text]
  assert csv.field_size_limit() == limit


def folder_of(tmp_path, documents):
  for name, text in documents.items():
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
  return str(tmp_path)


def test_c2_documents_of_a_folder_lie_in_one_split_each_and_no_sequence_spans_two(tmp_path):
  rng = np.random.default_rng(0)
  documents = {f"{'ab'[i % 2]}/{i}.txt": "".join(rng.choice(list("xyzé"), rng.integers(1, 30))) for i in range(90)}
  documents["b/copy.txt"] = documents["a/0.txt"]
  mixed = {
    name: gzip.compress(text.encode()) if name.endswith("7.txt") else text.encode("utf-16" if "3" in name else "utf-8")
    for name, text in documents.items()
  }
  mixed = {name + ".gz" * name.endswith("7.txt"): text for name, text in mixed.items()}
  top = folder_of(tmp_path / "docs", mixed | {"a/empty.txt": "", ".hidden": "?", "a/.git/x": "?"})
  source = text_folder(top, 8, splits=(0.5, 0.25, 0.25))
  found = {name: texts(source, name) for name in source.splits}
  for name in sorted(documents):
    parts = [documents[name][k : k + 8] for k in range(0, len(documents[name]), 8)]
    owners = [split for split in found if found[split][: len(parts)] == parts]
    assert owners, name
    del found[owners[0]][: len(parts)]
  assert not any(found.values())
  assert set(source.codec.spec["alphabet"]) == set("xyzé")
  by_pattern = text_folder(f"{tmp_path}/docs/**/*.*", 8, splits=(60, 20, 11))
  assert sum(split.num_examples for split in by_pattern.splits.values()) == sum(
    -(-len(t) // 8) for t in documents.values()
  )


@pytest.mark.parametrize(
  ("documents", "path", "keywords", "message"),
  [
    ({"a.txt": "ab", "b.txt": b"\xff"}, "", {}, r"b\.txt is not UTF-8: byte 0xff at offset 0; give its encoding"),
    ({"a.txt": "ab", "b.txt": "aXb"}, "", {"alphabet": "ab"}, r"character 'X' at offset 1 of .*b\.txt is not in"),
    ({"a.txt": ""}, "", {}, "has no file with text"),
    ({".a": "a"}, "", {}, "names no file; give a folder of text files, or a pattern"),
    ({"a.txt": "ab"}, "*.md", {}, r"\*\.md names no file"),
    ({"a.txt": "ab"}, "", {}, "got none of the 1 documents"),
    ({"a.txt": "ab"}, "", {"splits": (1, 1, 0)}, "ask for 2 documents .* but there are 1"),
  ],
)
def test_c2_a_folder_that_cannot_be_read_is_one_line(tmp_path, documents, path, keywords, message):
  refused(message, text_folder, os.path.join(folder_of(tmp_path, documents), path), 4, **keywords)


@pytest.mark.parametrize("read", [text_lines, text_file])
def test_c2_what_is_odd_in_a_text_is_read_or_one_line(tmp_path, monkeypatch, read):
  path = str(tmp_path / "a.txt")
  write(tmp_path / "a.txt", "grün\n" * 9 + "rot\0\n" + "x" * 9)
  assert "\0" in read(path, 9, splits=(1.0, 0, 0)).codec.spec["alphabet"]  # a character like any other
  write(tmp_path / "a.txt", "grün\n".encode() + "grün\n".encode("latin-1"))  # joined from files of two editors
  refused("byte 0xfc at offset 8", read, path, 5)
  refused("is a pipe or a device", read, "/dev/zero", 5)
  monkeypatch.setattr(reading, "LARGEST_IN_MEMORY", 1000)
  write(tmp_path / "bomb.txt.gz", gzip.compress(b"ab\n" * 2**20))
  refused("unpacks to more than .* times its own size", read, str(tmp_path / "bomb.txt.gz"), 5)


def test_c2_a_very_long_line_is_refused_or_becomes_windows(tmp_path):
  path = write(tmp_path / "a.txt", "ab" * 2**20 + "\nb")
  refused(r"1 lines longer than length = 64 \(the longest: 2,097,152\)", text_lines, path, 64)
  source = text_lines(path, 64, longer="windows", splits=(32768, 1, 0))
  assert source.splits["train"].num_examples == 2**15
  assert texts(source, "validation") == ["b"]


@pytest.mark.parametrize("rule", [1, 2, 3, 4])
@pytest.mark.parametrize("letters", ["ab ", "äb東"])
def test_c1_lines_are_split_by_their_categories_or_by_their_bytes_as_before(tmp_path, letters, rule):
  lines = ["".join(word) for word in itertools.product(letters, repeat=4)]
  path = write(tmp_path / "a.txt", "\r\n".join(lines))
  source = text_lines(path, 4, splits=(0.5, 0.3, 0.2), split_rule=rule)
  order = "".join(sorted(letters))
  found = {name: set(texts(source, name)) for name in source.splits}
  for line in lines:
    ids = np.array([order.index(letter) for letter in line])
    fraction = splits.hash_fraction(ids.astype("<u4").tobytes() if rule >= 3 else line.encode())
    assert line in found["train" if fraction < 0.5 else "validation" if fraction < 0.8 else "test"]
  refused("split_rule is 5", text_lines, path, 4, split_rule=5)
