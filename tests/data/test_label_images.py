"""PNG files of every kind that may hold a label map: its integers as stored, or one line; and maps of other sizes."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from catgen.data.label_images import nearest, read_png
from catgen.interfaces import InputError

RNG = np.random.default_rng(0)


def chunk(name, data):
  return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(ids, depth, kind=0, *more):
  """Writes a PNG by its specification, without Pillow: rows of packed samples, each after a byte for "no filter"."""
  height, width = ids.shape[:2]
  rows = []
  for row in ids.reshape(height, -1):
    if depth == 16:
      packed = row.astype(">u2").tobytes()
    elif depth == 8:
      packed = row.astype(np.uint8).tobytes()
    else:
      bits = (row[:, None].astype(np.uint8) >> np.arange(depth - 1, -1, -1, dtype=np.uint8)) & 1
      packed = np.packbits(bits.ravel()).tobytes()
    rows.append(b"\0" + packed)
  header = struct.pack(">2I5B", width, height, depth, kind, 0, 0, 0)
  body = [chunk(b"IHDR", header), *more, chunk(b"IDAT", zlib.compress(b"".join(rows))), chunk(b"IEND", b"")]
  return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def palette(number):
  return chunk(b"PLTE", bytes(range(3 * number)))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (5, 13)])
def test_gray_levels_of_every_depth_are_the_ids(depth, size):
  ids = RNG.integers(0, 2**depth, size)
  ids.flat[0] = 2**depth - 1
  found = read_png(png(ids, depth), "a.png")
  np.testing.assert_array_equal(found.ids, ids)
  assert found.ids.dtype == (np.uint16 if depth == 16 else np.uint8)
  assert found.colors == ()


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [False, True])
def test_a_palette_gives_indices_and_colors_and_may_be_transparent(depth, transparent):
  number = min(2**depth, 80)
  ids = RNG.integers(0, number, (4, 6))
  more = [chunk(b"tRNS", bytes([0] * number))] if transparent else []
  found = read_png(png(ids, depth, 3, palette(number), *more), "a.png")
  np.testing.assert_array_equal(found.ids, ids)
  assert found.colors[:number] == tuple(f"#{3 * i:02x}{3 * i + 1:02x}{3 * i + 2:02x}" for i in range(number))


@pytest.mark.parametrize("levels", [[0, 255], [0, 128], [7, 7]])
def test_a_gray_file_that_is_also_transparent_keeps_its_levels(levels):
  ids = RNG.choice(levels, (3, 4))
  found = read_png(png(ids, 8, 0, chunk(b"tRNS", struct.pack(">H", levels[0]))), "a.png")
  np.testing.assert_array_equal(found.ids, ids)


def test_remarks_and_resolutions_in_a_file_change_nothing():
  ids = RNG.integers(0, 9, (3, 4))
  more = (chunk(b"tEXt", b"Comment\0labels"), chunk(b"gAMA", struct.pack(">I", 45_455)), chunk(b"pHYs", b"\0" * 9))
  np.testing.assert_array_equal(read_png(png(ids, 8, 0, *more), "a.png").ids, ids)


@pytest.mark.parametrize("mode", ["P", "L", "I;16"])
def test_what_pillow_writes_is_read_optimized_or_not(mode):
  ids = RNG.integers(0, 300 if mode == "I;16" else 12, (6, 5))
  image = Image.fromarray(ids.astype(np.uint16 if mode == "I;16" else np.uint8))
  image = image.convert("P") if mode == "P" else image
  if mode == "P":
    image = Image.fromarray(ids.astype(np.uint8), "P")
    image.putpalette(bytes(range(36)))
  for options in ({}, {"optimize": True}, {"compress_level": 0}):
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    np.testing.assert_array_equal(read_png(file.getvalue(), "a.png").ids, ids)


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (4, 2), (6, 4)])
@pytest.mark.parametrize("depth", [8, 16])
def test_colors_and_transparency_are_refused_even_where_they_are_gray(kind, channels, depth):
  content = png(np.repeat(RNG.integers(0, 9, (3, 4, 1)), channels, axis=2), depth, kind)
  with pytest.raises(
    InputError, match=r"^b/a\.png has several channels .*; save the label ids as one gray channel, or say which color"
  ):
    read_png(content, "b/a.png")


WHOLE = png(RNG.integers(0, 99, (40, 50)), 8)


@pytest.mark.parametrize("size", [0, 1, 8, 25])
def test_what_begins_no_png_is_none(size):
  with pytest.raises(InputError, match=r"^a is no PNG file; label maps are PNG files of one channel$"):
    read_png(WHOLE[:size], "a")


@pytest.mark.parametrize("size", [33, 40, len(WHOLE) // 2])
def test_a_file_that_stops_early_is_damaged(size):
  with pytest.raises(InputError, match=r"^a cannot be read .*; it is damaged: fetch or write it again$") as caught:
    read_png(WHOLE[:size], "a")
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["JPEG", "GIF", "TIFF", "BMP"])
def test_other_pictures_are_no_png_whatever_they_are_called(form):
  file = io.BytesIO()
  Image.fromarray(np.zeros((4, 4), np.uint8)).save(file, form)
  with pytest.raises(InputError, match=r"a\.png is no PNG file"):
    read_png(file.getvalue(), "a.png")


SIDES = st.integers(1, 9)


@settings(max_examples=60, deadline=None)
@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES))
def test_every_pixel_is_the_one_under_its_center(size, shape):
  ids = np.arange(size[0] * size[1]).reshape(size)
  found = nearest(ids, shape)
  rows, columns = ([int((i + 0.5) * m / n + 1e-9) for i in range(n)] for m, n in zip(size, shape, strict=True))
  np.testing.assert_array_equal(found, ids[np.ix_(rows, columns)])


@settings(max_examples=30, deadline=None)
@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES), st.integers(1, 4))
def test_making_larger_by_a_whole_number_and_smaller_again_changes_nothing(size, shape, factor):
  ids = RNG.integers(0, 99, size)
  larger = nearest(ids, (size[0] * factor, size[1] * factor))
  np.testing.assert_array_equal(larger, np.repeat(np.repeat(ids, factor, 0), factor, 1))
  np.testing.assert_array_equal(nearest(larger, size), ids)
  np.testing.assert_array_equal(nearest(ids.T, shape), nearest(ids, shape[::-1]).T)


@settings(max_examples=40, deadline=None)
@given(st.tuples(st.integers(4, 20), st.integers(4, 20)), st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_a_crop_is_the_largest_middle_part_of_the_proportions(size, shape):
  ids = np.arange(size[0] * size[1]).reshape(size)
  found = nearest(ids, shape, crop=True)
  height = min(size[0], size[1] * shape[0] // shape[1])
  width = min(size[1], size[0] * shape[1] // shape[0])
  up, left = (size[0] - height) // 2, (size[1] - width) // 2
  np.testing.assert_array_equal(found, nearest(ids[up : up + height, left : left + width], shape))
  assert height == size[0] or width == size[1]
