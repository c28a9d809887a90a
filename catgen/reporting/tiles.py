"""A sheet of tiles for pictures of maps: blocks of tiles side by side, headings, a legend. Pixels stay crisp squares.

Drawn with Pillow, imported where it is used: every pixel of a map becomes a square of the same whole number of pixels.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from catgen.interfaces import InputError
from catgen.reporting.drawing import INK, PAPER, QUIET, load_fonts

WIDTH = 1600  # of a sheet, about
_MAX_SCALE, _MIN_WIDTH = 20, 480
MARGIN, _GAP, _BLOCK_GAP = 24, 6, 36
_FONT_SIZE, _LINE = 22, 26
_SWATCH = 18
_PAGE_ASPECT = 1.6


class Block(NamedTuple):
  """Tiles under a heading, in rows of so many columns."""

  title: str
  tiles: UInt8[np.ndarray, "tiles height width 3"]
  columns: int = 1
  labels: Sequence[str] | None = None  # below the tiles


class Entry(NamedTuple):
  """A line of the legend: a swatch, one color or the two of a checkerboard, and what it means."""

  colors: tuple[str, ...]
  name: str


class Sheet(NamedTuple):
  """A finished sheet and where its tiles are, for those who draw more on it."""

  image: Any
  draw: Any
  scale: int  # side of a map's pixel
  corners: list[list[tuple[int, int]]]  # of each block, the upper left corner of each tile
  font: Any  # of labels
  line: int  # height of a line of them


def best_columns(number: int, height: int, width: int) -> int:
  """Returns in how many columns tiles fill a landscape page, with few empty places in the last row."""

  def cost(columns: int) -> float:
    rows = -(-number // columns)
    return abs(math.log(columns * width / (rows * height * _PAGE_ASPECT))) + 2 * (rows * columns - number) / number

  return min(range(1, number + 1), key=cost)


def draw_sheet(
  blocks: Sequence[Block],
  *,
  title: str,
  entries: Sequence[Entry] = (),
  gap: int = _BLOCK_GAP,
  footer: int = 0,
  width: int = WIDTH,
) -> Sheet:
  """Returns the blocks side by side, enlarged by one whole number so that all are about `width` wide.

  Args:
    blocks: of tiles of one size.
    title: heading; "" = none.
    entries: of the legend, below the tiles, in as many lines as they need.
    gap: between blocks.
    footer: height to leave empty below the legend.
    width: wanted, in pixels.
  """
  from PIL import Image, ImageDraw

  if not blocks or any(len(block.tiles) == 0 for block in blocks):
    raise InputError("there is no map to draw; give at least one")
  fonts = load_fonts(_FONT_SIZE)
  scale = _scale(blocks, gap, width)
  sizes = [_size(block, scale, fonts.small) for block in blocks]
  content = sum(size[0] for size in sizes) + gap * (len(blocks) - 1)
  wide = max(content, _MIN_WIDTH, round(fonts.heading.getlength(title))) + 2 * MARGIN
  lines = _legend_lines(entries, fonts.small, wide - 2 * MARGIN)
  top = MARGIN + (round(1.6 * _LINE) if title else 0)
  bottom = top + max(size[1] for size in sizes)
  legend_top = bottom + (_LINE // 2 if lines else 0)
  end = legend_top + _LINE * len(lines)
  image = Image.new("RGB", (wide, end + footer + MARGIN - 4 * bool(lines)), PAPER)
  draw = ImageDraw.Draw(image)
  draw.text((MARGIN, MARGIN), title, font=fonts.heading, fill=INK)
  corners, x = [], MARGIN
  for block, size in zip(blocks, sizes, strict=True):
    corners.append(_paste(image, draw, block, (x, top), scale, fonts.small))
    x += size[0] + gap
  for number, line in enumerate(lines):
    _draw_line(draw, line, legend_top + number * _LINE, fonts.small)
  return Sheet(image, draw, scale, corners, fonts.small, _LINE)


def _scale(blocks: Sequence[Block], gap: int, width: int) -> int:
  """Returns the whole number by which pixels are enlarged."""
  pixels = sum(block.columns * block.tiles.shape[2] for block in blocks)
  gaps = gap * (len(blocks) - 1) + sum(_GAP * (block.columns - 1) for block in blocks)
  return max(1, min(_MAX_SCALE, (width - gaps) // pixels))


def _size(block: Block, scale: int, font: Any) -> tuple[int, int]:
  """Returns width and height of a block with its heading, which may be wider than its tiles, and labels."""
  number, height, width = block.tiles.shape[:3]
  rows = -(-number // block.columns)
  row = height * scale + (_LINE if block.labels else 0)
  heading = _LINE if block.title else 0
  tiles = block.columns * (width * scale + _GAP) - _GAP
  return max(tiles, math.ceil(font.getlength(block.title))), heading + rows * (row + _GAP) - _GAP


def _paste(
  image: Any, draw: Any, block: Block, corner: tuple[int, int], scale: int, font: Any
) -> list[tuple[int, int]]:
  """Draws a block and returns the upper left corners of its tiles."""
  from PIL import Image

  left, top = corner
  _, height, width = block.tiles.shape[:3]
  if block.title:
    draw.text((left, top), block.title, font=font, fill=INK)
    top += _LINE
  corners = []
  for number, tile in enumerate(block.tiles):
    row, column = divmod(number, block.columns)
    x = left + column * (width * scale + _GAP)
    y = top + row * (height * scale + _GAP + (_LINE if block.labels else 0))
    image.paste(Image.fromarray(np.repeat(np.repeat(tile, scale, axis=0), scale, axis=1)), (x, y))
    if block.labels:
      draw.text((x, y + height * scale + 1), block.labels[number], font=font, fill=QUIET)
    corners.append((x, y))
  return corners


def _legend_lines(entries: Sequence[Entry], font: Any, width: int) -> list[list[tuple[int, Entry]]]:
  """Returns the entries in lines, each with its place from the left."""
  lines: list[list[tuple[int, Entry]]] = []
  x = width
  for entry in entries:
    needed = _SWATCH + 8 + math.ceil(font.getlength(entry.name))
    if x + needed > width:
      lines.append([])
      x = 0
    lines[-1].append((x, entry))
    x += needed + 22
  return lines


def _draw_line(draw: Any, line: Sequence[tuple[int, Entry]], y: int, font: Any) -> None:
  half = _SWATCH // 2
  for x, entry in line:
    left = MARGIN + x
    for row in range(2):
      for column in range(2):
        color = entry.colors[(row + column) % len(entry.colors)]
        corner = (left + column * half, y + row * half)
        draw.rectangle((*corner, corner[0] + half - 1, corner[1] + half - 1), fill=color)
    draw.text((left + _SWATCH + 8, y - 2), entry.name, font=font, fill=QUIET)
