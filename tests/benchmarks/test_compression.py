"""Bytes of other compressors: nothing is counted that does not come back, and what stands before a text is paid for."""

import zlib

import pytest

from benchmarks import compression
from benchmarks.compression import Compression, Packer, _packed, alone_bytes, describe, ending
from catgen.interfaces import InputError
from catgen.runs.compress import BlockSizes, Compressed


def test_what_stands_before_a_text_is_read_and_not_counted():
  text, before = b"the cat sat on the mat " * 20, b"the mat sat on the cat " * 300
  packer = Packer(zlib.compress, zlib.decompress)
  alone, after = _packed(packer, text)["bytes"], _packed(packer, text, before)["bytes"]
  assert alone == len(zlib.compress(text))
  assert after == len(zlib.compress(before + text)) - len(zlib.compress(before))
  assert 0 < after < alone


def test_a_compressor_that_does_not_give_back_the_text_is_not_counted():
  with pytest.raises(ValueError, match="something else"):
    _packed(Packer(zlib.compress, lambda packed: b""), b"text")


def test_compressors_that_are_installed_give_back_a_text():
  pytest.importorskip("pyppmd")
  pytest.importorskip("zstandard")
  sizes = {name: _packed(packer, b"abc" * 1000)["bytes"] for name, packer in compression.packers().items()}
  assert len(sizes) == 5
  assert max(sizes.values()) < 100


def test_the_fewest_bytes_come_first():
  common = {"pack_seconds": 1.0, "unpack_seconds": 2.0}
  model = {"name": "m", "bytes": 50, "alone_bytes": 77, "parameters": 10, "model_bytes": 4_000_000, **common}
  lines = describe(Compression([{"name": "z", "bytes": 100, **common}, model], 400, "400 characters")).split("\n")
  assert lines[0] == "400 characters"
  assert [line.split()[0] for line in lines[3:]] == ["m", "z"]
  assert "1.000" in lines[3]
  assert "10 (4.0 MB)" in lines[3]
  assert "77" in lines[3].split()


def test_what_streams_alone_would_take_is_counted_with_header_and_fields():
  coded, stored = BlockSizes(100, 100, 9.0, 40, tried=40), BlockSizes(100, 0, 0.0, 0, None, 30, 55)
  found = Compressed("x.cg", 200, 500 + 40 + 30, (coded, stored), 1.0, "character", {})
  assert alone_bytes(found) == 500 + 40 + 55
  assert alone_bytes(found._replace(blocks=(coded, stored._replace(tried=None)))) is None


def test_a_text_of_a_size_is_the_end_of_a_longer_one():
  assert ending(b"abcdef", 2) == b"ef"
  assert ending(b"abcdef", None) == b"abcdef"
  with pytest.raises(InputError, match="--size is 7; the text has 6 bytes"):
    ending(b"abcdef", 7)
