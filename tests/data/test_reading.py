"""Files of bytes and UTF-8: what is read is what was written, however packed or cut, and mistakes are one line."""

import bz2
import gzip
import inspect
import lzma
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catgen.data import reading, splits
from catgen.data.reading import (
  byte_counts,
  decoded,
  existing_file,
  inferred_alphabet,
  open_bytes,
  present_characters,
  room_for,
  without_byte_order_mark,
)
from tests.refusals import refused

PACK = {"": bytes, ".gz": gzip.compress, ".GZ": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}
CONTENT = bytes(range(256)) * 3 + b"\r\n\0"


def write(path, content):
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  return str(path)


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("max_bytes", [None, 1, 770, 771, 772])
def test_bytes_are_those_of_the_file_in_every_packing(tmp_path, suffix, max_bytes):
  file = open_bytes(write(tmp_path / f"my file é{suffix}", PACK[suffix](CONTENT)), max_bytes)
  assert file.data.tobytes() == CONTENT[:max_bytes]
  assert file.complete == (max_bytes is None or max_bytes >= len(CONTENT))
  assert (file.start, file.data.dtype) == (0, np.uint8)


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2"])
def test_packed_files_may_have_several_members_and_may_be_empty(tmp_path, suffix):
  pack = PACK[suffix]
  assert open_bytes(write(tmp_path / f"a{suffix}", pack(b"ab") + pack(b"cd"))).data.tobytes() == b"abcd"
  refused("is empty; name a file with data", open_bytes, write(tmp_path / f"b{suffix}", pack(b"")))
  refused(f"b{suffix} (is truncated|cannot be read)", open_bytes, write(tmp_path / f"b{suffix}", pack(CONTENT)[:-12]))


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  write(tmp_path / "a b.txt", "text")
  assert existing_file("~/a b.txt") == str(tmp_path / "a b.txt")
  assert open_bytes("~/a b.txt").data.tobytes() == b"text"
  refused(rf"{tmp_path}/missing does not exist; correct the path", existing_file, "~/missing")
  refused("is a folder; name a file in it", existing_file, "~")


def test_a_link_is_followed_and_a_broken_one_does_not_exist(tmp_path):
  write(tmp_path / "a.txt", "text")
  os.symlink(tmp_path / "a.txt", tmp_path / "link.txt")
  os.symlink(tmp_path / "gone", tmp_path / "broken.txt")
  assert open_bytes(str(tmp_path / "link.txt")).data.tobytes() == b"text"
  refused("does not exist", open_bytes, str(tmp_path / "broken.txt"))


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf", b"\xef\xbb", b"\xef\xbbabc", b"ab\xef\xbb\xbf"])
def test_only_a_mark_before_text_is_dropped(tmp_path, content):
  assert without_byte_order_mark(open_bytes(write(tmp_path / "a", content))).data.tobytes() == content
  found = without_byte_order_mark(open_bytes(write(tmp_path / "a", b"\xef\xbb\xbf" + content)))
  assert (found.data.tobytes(), found.start) == (content, 3)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(min_size=1, max_size=300), size=st.integers(1, 400))
def test_bytes_are_counted_in_blocks_of_any_size(monkeypatch, content, size):
  monkeypatch.setattr(inspect.unwrap(splits.blocks), "__defaults__", (size,))
  counts = byte_counts(np.frombuffer(content, np.uint8))
  assert counts.tolist() == [content.count(value) for value in range(256)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), size=st.integers(1, 9))
def test_text_is_decoded_in_blocks_that_cut_characters(tmp_path, monkeypatch, text, size):
  monkeypatch.setattr(inspect.unwrap(splits.blocks), "__defaults__", (size,))
  file = open_bytes(write(tmp_path / "a.txt", text))
  assert "".join(decoded(file)) == text
  assert set(map(chr, np.flatnonzero(present_characters(file)))) == set(text)


@pytest.mark.parametrize("size", [1, 2, 5, 2**20])
@pytest.mark.parametrize(
  ("content", "byte", "offset"),
  [
    (b"ab\xff", "0xff", 2),
    (b"\xef\xbb\xbfab\xff", "0xff", 5),  # offsets are those of the file, mark included
    ("grüße".encode("latin-1"), "0xfc", 2),
    ("text".encode("utf-16"), "0xff", 0),
    ("é".encode() * 3 + b"\x80", "0x80", 6),
    (b"\xc0\xaf", "0xc0", 0),  # an overlong slash
    (b"\xed\xa0\x80", "0xed", 0),  # a surrogate
  ],
)
def test_what_is_no_utf8_is_named_with_its_offset_in_the_file(tmp_path, monkeypatch, content, byte, offset, size):
  monkeypatch.setattr(inspect.unwrap(splits.blocks), "__defaults__", (size,))
  file = without_byte_order_mark(open_bytes(write(tmp_path / "a.txt", content)))
  message = refused(rf'byte {byte} at offset {offset}; .*alphabet="bytes"', list, decoded(file))
  assert message.startswith(str(tmp_path / "a.txt"))


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_character_cut_by_the_end_is_an_error_and_cut_by_max_bytes_is_left_out(tmp_path, cut):
  content = "a😀😀".encode()
  path = write(tmp_path / "a.txt", content[:-cut])
  refused("ends inside a UTF-8 character at offset 5; it is truncated", list, decoded(open_bytes(path)))
  assert "".join(decoded(open_bytes(write(tmp_path / "b.txt", content), len(content) - cut))) == "a😀"


def test_an_alphabet_is_the_characters_in_order_and_one_is_too_few():
  assert inferred_alphabet(np.array([97, 98, 0x1F600]), "a.txt") == "ab😀"
  for points, shown in (([97], "'a'"), ([], "''")):
    refused(rf"a\.txt has only the characters {shown}; at least two", inferred_alphabet, np.array(points, int), "a.txt")


@pytest.mark.parametrize("limit", [0, 10**9])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint32])
def test_room_is_writable_in_memory_and_in_a_file_alike(monkeypatch, limit, dtype):
  monkeypatch.setattr(reading, "LARGEST_IN_MEMORY", limit)
  room = room_for(10, np.dtype(dtype))
  room[:] = np.arange(10)
  np.testing.assert_array_equal(room, np.arange(10))
  assert (room.dtype, isinstance(room, np.memmap)) == (dtype, limit == 0)


def test_a_full_temporary_folder_is_named_with_the_remedy(monkeypatch, tmp_path):
  def full(*_):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(reading, "LARGEST_IN_MEMORY", 0)
  monkeypatch.setattr(reading.os, "posix_fallocate", full)
  monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
  refused(rf"{tmp_path} has no room for 4,000 bytes .*No space left.*; set TMPDIR", room_for, 1000, np.dtype("u4"))
