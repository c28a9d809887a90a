"""Sheets of tiles: every pixel a square of one size, nothing over anything else, everything inside the picture."""

import itertools

import numpy as np
import pytest

from catgen.interfaces import InputError
from catgen.reporting.drawing import save_animation, save_image
from catgen.reporting.tiles import MARGIN, Block, Entry, best_columns, draw_sheet

RNG = np.random.default_rng(0)


def block(number, height=3, width=5, title="", columns=1, labels=None):
  return Block(title, RNG.integers(0, 200, (number, height, width, 3)).astype(np.uint8), columns, labels)


def boxes(sheet, blocks):
  """Returns (left, top, right, bottom) of every tile."""
  return [
    (x, y, x + each.tiles.shape[2] * sheet.scale, y + each.tiles.shape[1] * sheet.scale)
    for each, corners in zip(blocks, sheet.corners, strict=True)
    for x, y in corners
  ]


CASES = {
  "one": [block(1)],
  "a grid": [block(7, columns=3)],
  "labels": [block(4, columns=2, labels=["a", "Straße", "", "東京"])],
  "side by side": [block(2, title="data"), block(2, title="samples"), block(1, title="a title wider than the tiles")],
  "of one pixel": [block(3, 1, 1)],
  "wide": [block(2, 2, 400)],
  "wider than the page": [block(2, 2, 1700)],
  "more columns than tiles": [block(2, columns=5)],
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("title", ["", "Maps and a title"])
def test_tiles_are_crisp_apart_and_inside(case, title):
  blocks = CASES[case]
  sheet = draw_sheet(blocks, title=title)
  found, (width, height) = boxes(sheet, blocks), sheet.image.size
  picture = np.asarray(sheet.image)
  tiles = [tile for each in blocks for tile in each.tiles]
  assert len(found) == len(tiles)
  for (left, top, right, bottom), tile in zip(found, tiles, strict=True):
    assert MARGIN <= left < right <= width - MARGIN
    assert MARGIN <= top < bottom <= height
    squares = picture[top:bottom, left:right].reshape(tile.shape[0], sheet.scale, tile.shape[1], sheet.scale, 3)
    np.testing.assert_array_equal(squares, np.broadcast_to(tile[:, None, :, None], squares.shape))
  for one, other in itertools.combinations(found, 2):
    assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_tiles_run_through_rows_from_left_to_right():
  blocks = [block(7, columns=3)]
  (corners,) = draw_sheet(blocks, title="").corners
  assert sorted(corners, key=lambda corner: corner[::-1]) == corners
  assert [len([x for x, y in corners if y == row]) for row in sorted({y for _, y in corners})] == [3, 3, 1]


@pytest.mark.parametrize("number", [0, 1, 3, 60])
def test_a_legend_makes_room_for_all_its_entries(number):
  entries = [Entry(("#123456",), f"category {i} {'x' * i}") for i in range(number)]
  sheet, plain = draw_sheet(CASES["one"], title="", entries=entries), draw_sheet(CASES["one"], title="")
  assert (sheet.image.size[1] > plain.image.size[1]) == (number > 0)
  swatches = (np.asarray(sheet.image) == (0x12, 0x34, 0x56)).all(axis=-1).sum()
  assert swatches == number * 18**2  # each whole: none is hidden or cut


def test_a_checkerboard_shows_both_its_colors_alike():
  sheet = draw_sheet(CASES["one"], title="", entries=[Entry(("#123456", "#654321"), "none")])
  picture = np.asarray(sheet.image)
  shares = [(picture == color).all(axis=-1).sum() for color in ((0x12, 0x34, 0x56), (0x65, 0x43, 0x21))]
  assert shares == [162, 162]


@pytest.mark.parametrize("blocks", [[], [block(0)], [block(1), block(0)]])
def test_a_sheet_without_a_map_is_refused(blocks):
  with pytest.raises(InputError, match=r"^there is no map to draw; give at least one$"):
    draw_sheet(blocks, title="")


@pytest.mark.parametrize("size", [(1, 1), (32, 64), (64, 32), (2, 99)])
def test_columns_fill_a_page_and_never_exceed_the_tiles(size):
  height, width = size
  for number in range(1, 40):
    columns = best_columns(number, height, width)
    assert 1 <= columns <= number
  assert best_columns(1, height, width) == 1
  square = best_columns(100, 10, 10)
  rows = -(-100 // square)
  assert 1 < square / rows < 2.5  # a page lies


def test_transposed_tiles_never_have_more_columns_when_they_are_wider():
  for number in range(1, 60):
    assert best_columns(number, 10, 20) <= best_columns(number, 20, 10)


@pytest.mark.parametrize("name", ["a b.png", "é東.PNG", "x.gif", "x.bmp"])
def test_a_picture_has_the_format_of_its_ending(tmp_path, name):
  from PIL import Image

  save_image(draw_sheet(CASES["one"], title="").image, tmp_path / name)
  with Image.open(tmp_path / name) as image:
    assert image.format == name.rsplit(".")[-1].upper()


@pytest.mark.parametrize("name", ["x", "x.nonsense", "file/x.png", "folder.png"])
def test_a_picture_that_cannot_be_written_is_one_line(tmp_path, name):
  (tmp_path / "folder.png").mkdir()
  (tmp_path / "file").touch()
  image = draw_sheet(CASES["one"], title="").image
  for write in (lambda path: save_image(image, path), lambda path: save_animation([image, image], path, 10)):
    with pytest.raises(InputError, match=f"^cannot write .*{name}: ") as caught:
      write(tmp_path / name)
    assert "\n" not in str(caught.value)
