"""Text that users have: whatever editor, spreadsheet or archive it comes from, it is what they meant, or one line."""

import codecs
import csv
import gzip
import inspect
import io
import itertools
import json
import os

import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.bounds import Estimate, bits_per_position
from catgen.data import from_spec, reading, splits, summary
from catgen.data.codecs import alphabet_codec, byte_codec, ended
from catgen.data.sets.fasta import fasta
from catgen.data.sets.text_file import text_file
from catgen.data.sets.text_folder import text_folder
from catgen.data.sets.text_lines import text_lines
from catgen.data.sets.text_table import text_table
from catgen.evaluation import ngrams, results
from catgen.evaluation.likelihood import Likelihood
from catgen.interfaces import EventSpec, Infill, InputError, Model, Samples
from catgen.media import media_of
from catgen.media.medium import reader
from catgen.media.text import read_lines
from catgen.runs import infill, sample
from catgen.runs.load import Run
from catgen.runs.record import record_of
from catgen.sources import Attribute

LINES = ["Zoë", "naïve", "", "Œuvre", "e\u0301te\u0301", "a\x0bb\x0cc\x85d\u2028e"]


def write(path, content):
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  return str(path)


def refused(pattern, function, *arguments, **keywords):
  with pytest.raises(InputError, match=pattern) as caught:
    function(*arguments, **keywords)
  assert "\n" not in str(caught.value)


def texts(source, name="train"):
  """Returns the decoded examples of a split."""
  split = source.splits[name]
  batch = split.examples(np.arange(split.num_examples))
  return [source.codec.decode(x, valid) for x, valid in zip(batch.x, batch.valid, strict=True)]


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


def test_c5_a_file_of_lines_that_looks_like_fasta_says_so(tmp_path):
  source = text_lines(write(tmp_path / "a.fa", ">chr1\nACGT\n>chr2\nGATT\n"), 8, splits=(1.0, 0, 0))
  assert 'for FASTA take the kind "fasta"' in summary(source)
  assert "FASTA" not in summary(text_lines(write(tmp_path / "b.txt", "ACGT\n>GATT\n"), 8, splits=(1.0, 0, 0)))


WORDS = ["ab", "b", "bab", "a", "abb", "b", "", "ba", "bbb", "aab"]


def words(tmp_path, length=4, **keywords):
  path = write(tmp_path / "words.txt", "\n".join(WORDS))
  return text_lines(path, length, splits=(1.0, 0, 0), **{"end": True, **keywords})


def test_c6_records_with_an_end_fill_their_example_and_come_back(tmp_path):
  source = words(tmp_path)
  assert source.event == EventSpec((4,), 3)
  batch = source.splits["train"].examples(np.arange(9))
  given = [word for word in WORDS if word]
  np.testing.assert_array_equal(
    batch.x, [["ab".index(letter) for letter in word] + [2] * (4 - len(word)) for word in given]
  )
  assert batch.valid.all()  # what is not valid would tell a network the length
  assert texts(source) == given
  assert (source.position, source.longest) == ("position", None)
  codec = from_spec(json.loads(json.dumps(source.codec.spec)))
  assert (codec.end, codec.spec) == (2, source.codec.spec)
  for x, word in zip(batch.x, given, strict=True):
    np.testing.assert_array_equal(codec.encode(word), x)
  np.testing.assert_array_equal(codec.encode(""), [2, 2, 2, 2])


def test_c6_decoding_stops_at_the_first_end_and_an_example_without_one_is_whole():
  codec = ended(alphabet_codec("ab"), 2, 4)
  decoded = {"0212": "a", "2000": "", "0101": "abab", "0110": "abba", "0002": "aaa"}
  assert {x: codec.decode(np.array([*map(int, x)])) for x in decoded} == decoded
  assert codec.decode(np.array([0, -1, 2, 1])) == "a\ufffd"
  assert codec.decode(np.array([0, 1, 2, 1]), np.array([True, False, True, True])) == "a\ufffd"
  assert ended(byte_codec(), 256, 8).decode(np.array([*"é".encode(), 256, 0, 0, 0, 0, 0])) == "é"
  refused(r"4 positions, but examples of this model have 4, the end included; cut it to 3", codec.encode, "abab")


def test_c6_a_record_has_room_for_its_end_or_is_cut_or_dropped(tmp_path):
  refused(r"4 lines longer than length = 3, one position of which is the end", words, tmp_path, 3)
  short = [word for word in WORDS if 0 < len(word) < 3]
  assert texts(words(tmp_path, 3, longer="drop")) == short
  cut = words(tmp_path, 2, longer="cut")
  assert texts(cut) == [word[:2] for word in WORDS if word]  # a record that was cut has no end
  refused("length is 1; it must be at least 2", words, tmp_path, 1)
  refused('longer="windows" cuts records where they do not end', words, tmp_path, 4, longer="windows")


def test_c6_the_end_changes_no_split(tmp_path):
  path = write(tmp_path / "a.txt", "\n".join("".join(word) for word in itertools.product("abc", repeat=5)))
  with_end, without = (text_lines(path, 8, end=end) for end in (True, False))
  assert {name: texts(with_end, name) for name in with_end.splits} == {
    name: texts(without, name) for name in without.splits
  }


def test_c6_the_length_is_part_of_the_likelihood(tmp_path):
  """Probabilities of all texts of any length add up to one, and what an event has is at most what its text has."""
  rng = np.random.default_rng(0)
  records = ["".join(rng.choice(["a", "b"], length)) for length in rng.integers(1, 4, 900)]
  source = text_lines(write(tmp_path / "a.txt", "\n".join(records)), 4, splits=(1.0, 0, 0), end=True)
  rows = ngrams.training_rows(source.splits["train"])
  model = ngrams.fit(rows, order=4, num_classes=3)
  events = np.array([*itertools.product(range(3), repeat=4)], np.int32)
  probability = np.exp(ngrams.log_prob(model, batch_of(events), order=4).sum(axis=1))
  assert probability.sum() == pytest.approx(1)
  found = {}
  for x, p in zip(events, probability, strict=True):
    found[source.codec.decode(x)] = found.get(source.codec.decode(x), 0.0) + p
  assert len(found) == sum(2**length for length in range(5))
  for word in map("".join, itertools.chain(*(itertools.product("ab", repeat=n) for n in range(4)))):
    x = batch_of(source.codec.encode(word)[None])
    assert ngrams.log_prob(model, x, order=4).sum() <= np.log(found[word]) + 1e-9  # what is filled up is one way to end


def test_c6_bits_per_byte_are_those_of_the_text_whatever_the_length_of_examples(tmp_path):
  for length in (4, 9):
    source = words(tmp_path, length)
    nats = 50.0  # of all nine examples
    value = bits_per_position(nats, 9 * length)
    assert value / source.bytes_per_position == pytest.approx(bits_per_position(nats, len("".join(WORDS))))


def likelihood_of(source):
  estimate = Estimate(1.0, 0.1, 0.0)
  ones = np.ones(3, np.int64)
  return Likelihood(estimate, {}, np.arange(3), ones[None] * 1.0, ones, "exact", 1, 1, None, None, ())


@pytest.mark.parametrize(
  ("keywords", "expected"),
  [({"end": True}, "scored"), ({"end": False}, "given"), ({"end": False, "longer": "cut", "length": 1}, None)],
)
def test_c6_results_say_whether_the_length_is_scored(tmp_path, keywords, expected):
  source = words(tmp_path, **keywords)
  record = results.likelihood_record(likelihood_of(source), source, split="train", step=1, ema=False, config={})
  assert record.get("length") == expected


def run_of(source, x, folder):
  """Returns a run whose samples and completions are always x."""

  def draw(params, keys, *, given=None, state, options):
    return Samples(jnp.asarray(x), jnp.ones(x.shape, bool))

  def complete(params, x_observed, observed, keys, *, given=None, state, options):
    return Samples(jnp.where(observed, x_observed, x[: len(keys)]), jnp.ones(x_observed.shape, bool))

  config = {"sampling": {"num_samples": len(x), "batch_size": len(x)}, "evaluation": {"split": "train"}, "model": {}}
  model = Model(source.event, None, None, draw, infill=Infill(complete, True, "as told"))
  media = media_of(source.event, source.codec, source.position)
  return Run(model, {}, {}, record_of(config, source), media, str(folder), 1, False, lambda: source)


def test_c6_samples_are_cut_where_no_record_reaches_and_say_so(tmp_path):
  source = words(tmp_path, 6, end=False)
  assert source.longest == 3
  run = run_of(source, np.array([[0, 1, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0]]), tmp_path)
  drawn = sample.sample(run, compare=True)
  assert drawn.lines == ["aba", "bbb"]
  assert "cut after 3 of 6 positions: no record of the data is longer" in sample.describe(drawn)
  entropy = next(row for row in drawn.statistics if row[0].startswith("entropy"))
  assert entropy[1] == "0.918"  # of 2 a and 4 b; all positions, 5 a and 7 b, have 0.980
  completed = infill.infill(run, "b_a_a_", num_samples=2, pictures=False)
  assert completed.lines == ["bba\ufffda", "bba\ufffda"]  # what was typed is shown


def test_c6_samples_with_an_end_stop_there(tmp_path):
  source = words(tmp_path, 6)
  x = np.array([[0, 1, 2, 1, 2, 0], [2, 1, 1, 0, 0, 0], [0, 1, 0, 1, 0, 1]])
  run = run_of(source, x, tmp_path)
  drawn = sample.sample(run)
  assert "cut after" not in sample.describe(drawn)
  assert drawn.lines == ["ab", "", "ababab"]
  completed = infill.infill(run, "b_", num_samples=2, pictures=False)
  np.testing.assert_array_equal(completed.x[0], [1, 1, 2, 1, 2, 0])
  assert completed.lines == ["bb", "bbbaaa"]


def test_c6_what_is_typed_has_its_end_too(tmp_path):
  source = words(tmp_path, 6)
  media = media_of(source.event, source.codec, source.position)
  batch = media.read(write(tmp_path / "a.txt", "ab\n\nbba\n"))
  assert batch.x.tolist() == [[0, 1, 2, 2, 2, 2], [1, 1, 0, 2, 2, 2]]
  assert batch.valid.all()
  assert media.shown(batch) == ["ab", "bba"]
  refused("line 1: the text has 6 positions, .* cut it to 5", media.read, write(tmp_path / "a.txt", "ababab"))
  pattern = media.parse("a__b", hole="_", pad=True)
  assert pattern.x[pattern.observed].tolist() == [0, 1]  # ends are no part of a pattern: the rest is to be completed
  assert pattern.observed.tolist() == [True, False, False, True, False, False]
  typed = media.typed(["ab"])
  shown = media.corrections(typed, np.array([0, 1, 1, 2, 0, 2]), np.full(6, 0.5), color=False)
  assert shown.splitlines()[0] == "ab[b]∎"
  assert media.frames(np.array([[3, 3, 3, 3, 3, 3], [0, 2, 3, 1, 2, 2]])) == ["░░░░░░", "a∎░b∎∎"]


FASTA = ">one first\nACGT\nacgt\n\n; a comment\nNN A\r\n>two\nGATTACA\n>three\nTTT"
SEQUENCES = {"keep": ["ACGTacgtNNA", "GATTACA", "TTT"], "upper": ["ACGTACGTNNA", "GATTACA", "TTT"]}


@pytest.mark.parametrize("size", [1, 2, 7, 2**20])
@pytest.mark.parametrize("case", SEQUENCES)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_c5_fasta_is_read_without_headers_and_line_breaks(tmp_path, monkeypatch, size, case, pack):
  monkeypatch.setattr(inspect.unwrap(splits.blocks), "__defaults__", (size,))
  for number, text in enumerate((FASTA, FASTA + "\n", FASTA.replace("\n", "\r\n"), "\n; first\n" + FASTA)):
    path = write(tmp_path / (f"{number}.fa.gz" if pack is gzip.compress else f"{number}.fa"), pack(text.encode()))
    source = fasta(path, 12, case, splits=(1.0, 0, 0))
    assert texts(source) == SEQUENCES[case]
    assert source.codec.spec["alphabet"] == "".join(sorted(set("".join(SEQUENCES[case]))))
  assert "3 sequences of 3 to 11 characters" in summary(source)


def test_c5_long_sequences_become_windows_of_one_split(tmp_path):
  rng = np.random.default_rng(0)
  sequences = ["".join(rng.choice(list("ACGT"), rng.integers(1, 40))) for _ in range(200)]
  path = write(tmp_path / "a.fa", "".join(f">{i}\n{sequence}\n" for i, sequence in enumerate(sequences)))
  source = fasta(path, 8, longer="windows", splits=(0.5, 0.3, 0.2))
  windows = {i: [sequence[k : k + 8] for k in range(0, len(sequence), 8)] for i, sequence in enumerate(sequences)}
  found = {name: texts(source, name) for name in source.splits}
  for parts in windows.values():  # whole sequences, in the order of the file
    owners = [name for name in found if found[name][: len(parts)] == parts]
    assert owners
    del found[owners[0]][: len(parts)]
  assert not any(found.values())
  split = source.splits["train"]
  crops = split.crops(np.arange(split.num_crops))
  drawn = [source.codec.decode(x, valid) for x, valid in zip(crops.x, crops.valid, strict=True)]
  assert all(any(window in crop for crop in drawn) for window in texts(source))
  assert all(len(crop) == 8 or crop in sequences for crop in drawn)  # only a short sequence is padded
  assert any(crop not in itertools.chain(*windows.values()) for crop in drawn)


def test_c5_one_long_sequence_is_split_by_counts_of_windows(tmp_path):
  path = write(tmp_path / "a.fa", ">chr1\n" + "ACGTTGCA\n" * 10)
  refused(r"got none of the 1 sequences of .*a\.fa; give splits as counts", fasta, path, 8, longer="windows")
  source = fasta(path, 8, longer="windows", splits=(7, 2, 1))
  assert [split.num_examples for split in source.splits.values()] == [7, 2, 1]
  assert texts(source, "test") == ["ACGTTGCA"]
  assert source.splits["test"].num_crops == 1  # crops stay within the split


@pytest.mark.parametrize(
  ("content", "keywords", "message"),
  [
    ("ACGT\n>a\nAC\n", {}, "is no FASTA: 'ACGT' comes before a header, .*; take text_lines for it"),
    ("@read\nACGT\n+\nIIII\n", {}, "is no FASTA: '@read' comes before"),
    (">a\n\n>b\nAC\n", {}, r"the sequence 'a' \(line 1\) has no letters; remove it"),
    (">a\nAC\n>b", {}, r"the sequence 'b' \(line 3\) has no letters; remove it"),
    (">a\nAC\n>b\nACß\n", {}, "byte 0xc3 in line 4 is no letter of a sequence"),
    (">a\nAC\n>b\nAXG\n", {"alphabet": "ACGT"}, r"character 'X' at offset 1 of the sequence 'b' \(line 3\) is not in"),
    (">a\nAC\n>b\nACGTA\n", {"length": 4}, "1 sequences longer than length = 4 "),
    (">a\nAC\n", {"case": "lower"}, 'case is .lower.; it must be "keep" or "upper"'),
    (">a\nACGT", {"max_bytes": 5}, "no complete sequence; raise max_bytes"),
    (">a\nA\n", {}, "has only the characters 'A'"),
    (">a\n\n;\n", {}, "has no letters"),
  ],
)
def test_c5_what_is_no_fasta_is_one_line(tmp_path, content, keywords, message):
  refused(message, fasta, write(tmp_path / "a.fa", content), splits=(1.0, 0, 0), **keywords)


def test_c5_a_beginning_of_a_genome_is_what_max_bytes_says(tmp_path):
  path = write(tmp_path / "a.fa", FASTA)
  assert texts(fasta(path, 12, splits=(1.0, 0, 0), max_bytes=60)) == ["ACGTacgtNNA", "GATTACA"]
  assert texts(fasta(path, 12, splits=(1.0, 0, 0), max_bytes=61, longer="windows"))[2:] == ["T"]
  assert len(texts(fasta(path, 12, splits=(1.0, 0, 0), max_bytes=58, longer="windows"))) == 2


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


@pytest.mark.parametrize("rule", [1, 2, 3])
@pytest.mark.parametrize("letters", ["ab ", "äb東"])
def test_c1_lines_are_split_by_their_categories_or_by_their_bytes_as_before(tmp_path, letters, rule):
  lines = ["".join(word) for word in itertools.product(letters, repeat=4)]
  path = write(tmp_path / "a.txt", "\r\n".join(lines))
  source = text_lines(path, 4, splits=(0.5, 0.3, 0.2), split_rule=rule)
  order = "".join(sorted(letters))
  found = {name: set(texts(source, name)) for name in source.splits}
  for line in lines:
    ids = np.array([order.index(letter) for letter in line])
    fraction = splits.hash_fraction(ids.astype("<u4").tobytes() if rule == 3 else line.encode())
    assert line in found["train" if fraction < 0.5 else "validation" if fraction < 0.8 else "test"]
  refused("split_rule is 4", text_lines, path, 4, split_rule=4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["diffusion", "autoregressive"])
def test_c6_samples_have_the_lengths_of_the_data(tmp_path, kind):
  """Both families learn where records end: one sees all positions at once, the other those before."""
  from catgen.config import load_config
  from catgen.runs.load import load
  from catgen.runs.train import train

  rng = np.random.default_rng(0)
  records = ["".join(rng.choice(list("abcd"), length)) for length in rng.choice([2, 5, 6], 3000, p=[0.5, 0.3, 0.2])]
  changes = {
    "data.path": write(tmp_path / "a.txt", "\n".join(records)),
    "data.length": 10,
    "data.end": True,
    "model.kind": kind,
    "model.network.width": 32,
    "model.network.num_layers": 1,
    "model.network.num_heads": 2,
    "training.batch_size": 64,
    "training.num_steps": 500,
    "training.validate_every": 500,
    "training.validation_examples": 64,
  } | ({"model.num_steps": 50} if kind == "diffusion" else {})
  train(load_config("text_lines", changes).values, str(tmp_path / "run"), say=lambda line: None)
  run = load(str(tmp_path / "run"), say=lambda line: None)
  lengths = np.array([len(run.decode(x)) for x in run.sample(512, batch_size=256).x])
  for length, share in {2: 0.5, 5: 0.3, 6: 0.2}.items():
    assert abs((lengths == length).mean() - share) < 0.09  # four standard errors of 512 samples
