"""Text files: the integers are those of the file, in every representation, and splits follow each other."""

import bz2
import gzip
import inspect
import lzma
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catgen.data import reading, splits
from catgen.data.sets.text_file import text_file

WORDS = "the quick brown fox jumps over the lazy dog "


def stream_of(split):
  """Returns the whole stream of a split from its crops."""
  starts = np.arange(split.num_crops)
  x = split.crops(starts).x
  return np.concatenate([x[:, 0], x[-1, 1:]])


def write(path, content):
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  return str(path)


def test_splits_follow_each_other_and_hold_the_whole_file(tmp_path):
  text = WORDS * 20
  source = text_file(write(tmp_path / "a.txt", text), 7)
  joined = np.concatenate([stream_of(source.splits[name]) for name in ("train", "validation", "test")])
  assert source.codec.decode(joined) == text
  assert source.codec.spec["alphabet"] == "".join(sorted(set(text)))
  assert (source.position, source.bytes_per_position) == ("character", 1.0)


def test_counts_of_positions_set_the_boundaries(tmp_path):
  text = WORDS * 20
  source = text_file(write(tmp_path / "a.txt", text), 7, splits=(100, 50, 30))
  for name, part in {"train": text[:100], "validation": text[100:150], "test": text[150:180]}.items():
    assert source.codec.decode(stream_of(source.splits[name])) == part
    assert source.splits[name].num_examples == len(part) // 7


def test_examples_are_disjoint_chunks_and_crops_start_everywhere(tmp_path):
  text = WORDS * 20
  split = text_file(write(tmp_path / "a.txt", text), 10, splits=(1, 0, 0))
  assert list(split.splits) == ["train"]
  train, decode = split.splits["train"], split.codec.decode
  x, valid, *_ = train.examples(np.array([3, 0]))
  assert [decode(row) for row in x] == [text[30:40], text[:10]]
  assert valid.all()
  assert decode(train.crops(np.array([train.num_crops - 1])).x[0]) == text[-10:]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_characters="\r\n\ufeff", exclude_categories=["Cs"]), min_size=2))
@pytest.mark.parametrize("block", [1, 3, 2**20])
def test_any_text_survives_in_blocks_of_any_size(tmp_path, monkeypatch, block, text):
  if len(set(text)) < 2:
    return
  monkeypatch.setattr(inspect.unwrap(splits.blocks), "__defaults__", (block,))
  source = text_file(write(tmp_path / "a.txt", text), 1, splits=(1, 0, 0))
  assert source.codec.decode(stream_of(source.splits["train"])) == text
  assert source.bytes_per_position == pytest.approx(len(text.encode()) / len(text))


@given(content=st.binary(min_size=1))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_survive(tmp_path, content):
  source = text_file(write(tmp_path / "a.bin", content), 1, "bytes", (1, 0, 0))
  np.testing.assert_array_equal(stream_of(source.splits["train"]), list(content))
  assert (source.event.num_classes, source.position) == (256, "byte")


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)])
def test_packed_and_plain_files_have_one_fingerprint(tmp_path, suffix, pack):
  text = WORDS * 20
  plain = text_file(write(tmp_path / "a.txt", text), 7)
  packed = text_file(write(tmp_path / f"a.txt{suffix}", pack(text.encode())), 7)
  assert plain.fingerprint == packed.fingerprint
  cut = text_file(write(tmp_path / f"a.txt{suffix}", pack(text.encode())), 7, max_bytes=400)
  assert cut.fingerprint == text_file(write(tmp_path / "a.txt", text[:400]), 7).fingerprint != plain.fingerprint


def test_fingerprint_depends_on_data_and_boundaries_but_not_on_length(tmp_path):
  path = write(tmp_path / "a.txt", WORDS * 20)
  reference = text_file(path, 7).fingerprint
  assert text_file(path, 11).fingerprint == reference
  assert text_file(path, 7, splits=(0.8, 0.1, 0.1)).fingerprint != reference
  assert text_file(write(tmp_path / "b.txt", WORDS * 19 + WORDS[::-1]), 7).fingerprint != reference


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("alphabet", ["infer", "text8"])
def test_a_line_break_at_the_end_is_no_character(tmp_path, ending, alphabet):
  text = WORDS * 20
  source = text_file(write(tmp_path / "a.txt", text + ending), 7, alphabet, (1, 0, 0))
  assert source.codec.decode(stream_of(source.splits["train"])) == text


def test_line_breaks_stay_where_the_alphabet_has_them(tmp_path):
  text = "ab\nab\nab\n"
  for alphabet in ("infer", "ab\n"):
    source = text_file(write(tmp_path / "a.txt", text), 3, alphabet, (1, 0, 0))
    assert source.codec.decode(stream_of(source.splits["train"])) == text


def test_a_byte_order_mark_is_no_character(tmp_path):
  source = text_file(write(tmp_path / "a.txt", b"\xef\xbb\xbfabab\xc3\xa9"), 2, splits=(1, 0, 0))
  assert source.codec.decode(stream_of(source.splits["train"])) == "abab\u00e9"


def test_max_bytes_leaves_out_a_character_that_it_cuts(tmp_path):
  source = text_file(write(tmp_path / "a.txt", "ab\u20acab\u20ac" * 9), 2, splits=(1, 0, 0), max_bytes=9)
  assert source.codec.decode(stream_of(source.splits["train"])) == "ab\u20acab"


def test_large_decoded_text_goes_to_a_file_that_leaves_nothing_behind(tmp_path, monkeypatch):
  text = "\u00e9t\u00e9 " * 1000
  monkeypatch.setattr(reading, "LARGEST_IN_MEMORY", 100)
  monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
  (tmp_path / "temporary").mkdir()
  source = text_file(write(tmp_path / "a.txt", text), 7, splits=(1, 0, 0))
  assert source.codec.decode(stream_of(source.splits["train"])) == text
  assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("alphabet", ["bytes", "\0a"])
def test_a_large_file_is_never_in_memory(tmp_path, alphabet):
  path = tmp_path / "sparse"
  with open(path, "wb") as file:
    file.truncate(2**27)
  tracemalloc.start()
  try:
    source = text_file(str(path), 256, alphabet)
    source.splits["train"].crops(np.arange(0, 100_000_000, 500_000))
    peak = tracemalloc.get_traced_memory()[1]
  finally:
    tracemalloc.stop()
  assert peak < 2**25
