"""FASTA is read without headers and line breaks, in windows that lie in one split."""

import gzip
import inspect
import itertools

import numpy as np
import pytest

from catgen.data import splits, summary
from catgen.data.sets.fasta import fasta
from catgen.data.sets.text_lines import text_lines
from tests.cases.texts import texts, write
from tests.refusals import refused


def test_c5_a_file_of_lines_that_looks_like_fasta_says_so(tmp_path):
  source = text_lines(write(tmp_path / "a.fa", ">chr1\nACGT\n>chr2\nGATT\n"), 8, splits=(1.0, 0, 0))
  assert 'for FASTA take the kind "fasta"' in summary(source)
  assert "FASTA" not in summary(text_lines(write(tmp_path / "b.txt", "ACGT\n>GATT\n"), 8, splits=(1.0, 0, 0)))


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
