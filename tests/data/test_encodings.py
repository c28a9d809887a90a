"""Encodings: text is the same in all of them, and what is in none is one line with its place in the file."""

import codecs
import gzip
import inspect

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catgen.data import reading, splits
from catgen.data.encodings import encoding_of, unmarked_utf16
from catgen.data.reading import as_utf8, decoded, existing_file, kept, lines_of, open_bytes, open_text, read_text
from tests.refusals import refused

TEXT = "Grüße, naïve façade;\r\nŒuvre\u2028\n\n" * 3
MARKED = {
  "utf-8": codecs.BOM_UTF8,
  "utf-16-le": codecs.BOM_UTF16_LE,
  "utf-16-be": codecs.BOM_UTF16_BE,
  "utf-32-le": codecs.BOM_UTF32_LE,
  "utf-32-be": codecs.BOM_UTF32_BE,
}


def write(path, content):
  path.write_bytes(content)
  return str(path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("limit", [4, 2**28])
@pytest.mark.parametrize("encoding", MARKED)
def test_a_byte_order_mark_says_the_encoding(tmp_path, monkeypatch, encoding, limit, packed):
  monkeypatch.setattr(reading, "LARGEST_IN_MEMORY", limit)  # a small one: into a temporary file
  content = MARKED[encoding] + TEXT.encode(encoding)
  path = write(tmp_path / ("a.gz" if packed else "a.txt"), gzip.compress(content) if packed else content)
  for declared in ("utf-8", encoding, encoding.removesuffix("-le").removesuffix("-be")):
    assert open_text(path, declared).data.tobytes().decode() == TEXT
  assert read_text(path) == TEXT
  refused(
    f"byte order mark of {encoding}, but encoding is 'cp1252'; give encoding='{encoding}'", open_text, path, "cp1252"
  )


@pytest.mark.parametrize(
  "encoding", ["utf-16-le", "utf-16-be", "utf-32-be", "cp1252", "utf-8", "utf-8-sig", "U8", "gb18030"]
)
def test_a_file_without_a_mark_is_what_is_declared(tmp_path, encoding):
  text = TEXT.replace("\u2028", "") if encoding == "cp1252" else TEXT
  path = write(tmp_path / "a.txt", text.encode(encoding))
  assert open_text(path, encoding).data.tobytes().decode() == text
  assert read_text(path, encoding) == text


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), size=st.integers(1, 9))
@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-32-le", "gb18030"])
def test_blocks_may_cut_characters(tmp_path, monkeypatch, encoding, text, size):
  monkeypatch.setattr(inspect.unwrap(splits.blocks), "__defaults__", (size,))
  path = write(tmp_path / "a.txt", b"" if text[0] == "\ufeff" else text.encode(encoding))
  if text[0] != "\ufeff":
    assert open_text(path, encoding).data.tobytes().decode() == text


@pytest.mark.parametrize("size", [1, 3, 2**20])
@pytest.mark.parametrize(
  ("content", "encoding", "message"),
  [
    (b"ab\x81", "cp1252", "is not cp1252: byte 0x81 at offset 2"),
    (b"a\0\x00\xd8b\0", "utf-16-le", "is not utf-16-le: byte 0x00 at offset 2"),  # a lone surrogate
    (codecs.BOM_UTF16_LE + b"a\0b", "utf-8", "is not utf-16-le: byte 0x62 at offset 4"),
    ("é".encode(), "ascii", "is not ascii: byte 0xc3 at offset 0"),
    (b"a", "latin-l", "encoding is 'latin-l', which Python does not know; give utf-8"),
    (b"a", "hex", "encoding is 'hex', which Python does not know"),
    (b"a", "a\0b", "which Python does not know"),
    (b"a\0", "utf-16", "has no byte order mark, which utf-16 needs; give encoding='utf-16-le' .* or 'utf-16-be'"),
    (codecs.BOM_UTF8, "utf-8", "has no text; name a file with data"),
    (codecs.BOM_UTF16_BE, "utf-8", "has no text; name a file with data"),
  ],
)
def test_what_is_no_text_is_one_line_with_the_place(tmp_path, monkeypatch, content, encoding, message, size):
  monkeypatch.setattr(inspect.unwrap(splits.blocks), "__defaults__", (size,))
  refused(message, open_text, write(tmp_path / "a.txt", content), encoding)


def test_what_max_bytes_cuts_inside_a_character_is_left_out(tmp_path):
  path = write(tmp_path / "a.txt", "aé😀".encode("utf-16"))
  for max_bytes, expected in ((3, None), (4, "a"), (5, "a"), (8, "aé"), (9, "aé"), (10, "aé😀")):
    if expected is None:
      refused("has no text", open_text, path, max_bytes=max_bytes)
    else:
      assert open_text(path, max_bytes=max_bytes).data.tobytes().decode() == expected


@pytest.mark.parametrize("order", ["le", "be"])
@pytest.mark.parametrize("text", ["The quick brown fox\n", "Ein größerer Hund\r\n", "Съешь же ещё этих мягких булок\n"])
def test_utf16_without_a_mark_is_recognized(tmp_path, order, text):
  encoding = f"utf-16-{order}"
  path = write(tmp_path / "a.txt", (text * 20).encode(encoding))
  high = (text[0].encode("utf-16-be"))[0]
  refused(rf'like {high:#04x} at offset {order == "le":d}; give encoding="{encoding}"', open_text, path)
  assert open_text(path, encoding).data.tobytes().decode() == text * 20


@pytest.mark.parametrize(
  "text", ["a\n" * 50, "a\t" * 50, "ab\0" * 50, "\0" * 50, "\n" * 50, "abc\0", "\x01a\x02b" * 20, TEXT]
)
def test_other_text_is_not_taken_for_it(text):
  guess = unmarked_utf16(np.frombuffer(text.encode(), np.uint8))
  assert guess == ("utf-16-be" if text.startswith("\x01a") else None)  # every second byte a control: no text has that


def test_the_mark_of_utf32_is_not_that_of_utf16_before_a_zero():
  assert encoding_of("a", codecs.BOM_UTF32_LE, "utf-8") == ("utf-32-le", 4)
  assert encoding_of("a", codecs.BOM_UTF32_LE, "utf-16") == ("utf-16-le", 2)
  assert encoding_of("a", codecs.BOM_UTF8, "U8") == ("utf-8", 3)


@pytest.mark.parametrize("size", [1, 4, 2**20])
def test_only_a_line_feed_breaks_a_line(tmp_path, monkeypatch, size):
  monkeypatch.setattr(inspect.unwrap(splits.blocks), "__defaults__", (size,))
  for text in ("a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g\rh\n\ni\r\n", "a", "\n", "\n\na"):
    expected = [f"{line}\n" for line in text.split("\n")]
    expected[-1] = expected[-1][:-1]
    assert list(lines_of(open_bytes(write(tmp_path / "a.txt", text.encode())))) == [line for line in expected if line]


def test_a_mark_inside_a_text_is_a_character(tmp_path):
  path = write(tmp_path / "a.txt", codecs.BOM_UTF8 + "a\ufeffb".encode())
  assert "".join(decoded(as_utf8(open_bytes(path)))) == "a\ufeffb"


@pytest.mark.parametrize("limit", [0, 3, 100])
def test_what_is_kept_is_what_was_given_in_memory_and_in_a_file(monkeypatch, limit):
  monkeypatch.setattr(reading, "LARGEST_IN_MEMORY", limit)
  data = kept([b"ab", b"", b"cde"])
  assert data.tobytes() == b"abcde"
  assert kept([]).size == 0


def test_a_packed_file_that_unpacks_without_end_is_refused_before_it_fills_memory(tmp_path, monkeypatch):
  monkeypatch.setattr(reading, "LARGEST_IN_MEMORY", 10_000)
  path = write(tmp_path / "bomb.gz", gzip.compress(bytes(2**23)))
  refused(
    r"bomb\.gz unpacks to more than [\d,]+ bytes, [\d,]+ times its own size; unpack it yourself", open_bytes, path
  )
  assert open_bytes(path, max_bytes=10_000).data.size == 10_000


@pytest.mark.parametrize(("ending", "unpacker"), [(".zst", "unzstd"), (".ZIP", "unzip")])
def test_what_is_packed_in_another_way_is_not_taken_for_its_bytes(ending, unpacker, tmp_path):
  path = write(tmp_path / f"a{ending}", b"\x28\xb5\x2f\xfd and more")
  refused(rf"a\{ending} is packed, and only \.gz, \.xz and \.bz2 are unpacked here; .*\({unpacker}\)", open_bytes, path)


def test_a_full_temporary_folder_is_named(tmp_path, monkeypatch):
  class Full:
    def __init__(self, size):
      pass

    def __enter__(self):
      return self

    def __exit__(self, *_):
      pass

    def write(self, piece):
      raise OSError(28, "No space left on device")

  monkeypatch.setattr(reading.tempfile, "SpooledTemporaryFile", Full)
  refused("has no room for 3 bytes .*No space left on device.*; set TMPDIR", kept, [b"abc"])


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero"])
def test_a_device_is_no_file(path):
  refused(f"{path} is a pipe or a device, which cannot be read again", existing_file, path)
  refused(f"{path} is a pipe or a device", read_text, path)


def test_a_pipe_is_read_where_it_is_read_once(tmp_path):
  import os
  import threading

  path = str(tmp_path / "pipe.gz")
  os.mkfifo(path)
  refused("is a pipe or a device", open_bytes, path)
  writer = threading.Thread(target=lambda: (tmp_path / "pipe.gz").write_bytes(codecs.BOM_UTF8 + b"ab\n"))
  writer.start()
  assert read_text(path) == "ab\n"
  writer.join()
