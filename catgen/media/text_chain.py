"""Pictures of a sampler's chain of text: a still (PNG) and an animation (GIF). Pillow is imported where it is used."""

import os
from collections.abc import Sequence
from typing import Any

from catgen.interfaces import InputError
from catgen.reporting.drawing import INK, PAPER, QUIET, RAIL, load_fonts, progress_bar, save_animation, save_image
from catgen.reporting.terminal import MASK, visible

STAYED = "#4B5563"
CHANGED, MASKED = "#FFD999", RAIL  # orange against gray-blue: apart for color-blind eyes too
FONT_SIZE = 22


def chain_picture(
  frames: Sequence[str],
  labels: Sequence[str],
  path: str | os.PathLike[str],
  *,
  title: str = "How a text is drawn; % of the sampler's moves",
  columns: int = 96,
) -> None:
  """Draws the states of a sampler below one another, noise first; what changed since the state above is highlighted.

  Args:
    frames: texts of one length; text.MASK stands for a position without a category and becomes a light block.
    labels: one per frame, such as "t = 500"; shown to the left.
    path: picture to write.
    title: heading.
    columns: characters in a line; longer frames take several lines.

  Raises:
    InputError: no frames, or the picture cannot be written.
  """
  page = _Page(frames, labels, columns)
  gap = page.line // 2 if page.lines > 1 else page.line // 6
  height = page.top + len(frames) * (page.lines * page.line + gap) + page.footer
  image, draw = page.sheet(height, title)
  for number, (frame, label) in enumerate(zip(frames, labels, strict=True)):
    y = page.top + number * (page.lines * page.line + gap)
    draw.text((page.margin, y), label.rjust(page.label_columns), font=page.font, fill=QUIET)
    page.text(draw, y, frame, frames[number - 1] if number else None)
  page.legend(draw, height, masks=any(MASK in frame for frame in frames))
  save_image(image, path)


def chain_animation(
  frames: Sequence[str],
  labels: Sequence[str],
  path: str | os.PathLike[str],
  *,
  title: str = "How a text is drawn; % of the sampler's moves",
  columns: int = 64,
  milliseconds: int = 120,
) -> None:
  """Writes the states as a GIF that loops, with a bar for the progress; the last frame stays for three seconds.

  Args:
    frames, labels, path, title: see `chain_picture`.
    columns: characters in a line.
    milliseconds: how long a frame is shown.
  """
  page = _Page(frames, labels, columns)
  height = page.top + page.lines * page.line + page.footer
  images = []
  for number, (frame, label) in enumerate(zip(frames, labels, strict=True)):
    image, draw = page.sheet(height, title)
    draw.text((page.margin, page.top), label.rjust(page.label_columns), font=page.font, fill=QUIET)
    page.text(draw, page.top, frame, frames[number - 1] if number else None)
    done = number / max(1, len(frames) - 1)
    progress_bar(draw, page.left, page.width - page.margin, height - page.margin, done)
    images.append(image.quantize(colors=32))
  save_animation(images, path, milliseconds)


class _Page:
  """Measures of a sheet of monospaced text, and how to write on it."""

  def __init__(self, frames: Sequence[str], labels: Sequence[str], columns: int) -> None:
    if not frames or len(frames) != len(labels):
      raise InputError("a chain needs at least one frame, and a label for each")
    fonts = load_fonts(FONT_SIZE)
    self.font, self.heading, self.small = fonts.fixed, fonts.heading, fonts.small
    self.cell, self.line = self.font.getlength("m"), round(1.45 * FONT_SIZE)
    self.columns = max(1, min(columns, max(map(len, frames))))
    self.lines = -(-max(1, *map(len, frames)) // self.columns)
    self.label_columns = max(map(len, labels))
    self.margin = FONT_SIZE + 6
    self.left = self.margin + (self.label_columns + 2) * self.cell
    self.width = max(round(self.left + self.columns * self.cell) + self.margin, 640)
    self.top, self.footer = self.margin + 2 * self.line, round(2.2 * self.line)

  def sheet(self, height: int, title: str) -> tuple[Any, Any]:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (self.width, height), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((self.margin, self.margin), title, font=self.heading, fill=INK)
    return image, draw

  def text(self, draw: Any, y: int, frame: str, before: str | None) -> None:
    """Writes a frame; what differs from `before` gets a colored ground, a mask a light block."""
    shown = visible(frame)
    for i, character in enumerate(shown):
      row, column = divmod(i, self.columns)
      x0, y0 = self.left + column * self.cell, y + row * self.line
      changed = before is not None and (i >= len(before) or before[i] != frame[i])
      if character == MASK:
        draw.rectangle((x0 + 1, y0 + 3, x0 + self.cell - 2, y0 + self.line - 6), fill=MASKED)
        continue
      if changed:
        draw.rectangle((x0, y0, x0 + self.cell - 1, y0 + self.line - 3), fill=CHANGED)
      draw.text((x0, y0 + 1), character, font=self.font, fill=INK if changed or before is None else STAYED)

  def legend(self, draw: Any, height: int, *, masks: bool) -> None:
    entries = [(CHANGED, "changed since the line above")] + ([(MASKED, "not drawn yet")] if masks else [])
    x, y = self.left, height - self.margin - FONT_SIZE
    for color, label in entries:
      draw.rectangle((x, y, x + self.cell, y + FONT_SIZE - 2), fill=color)
      draw.text((x + 1.8 * self.cell, y), label, font=self.small, fill=QUIET)
      x += 4 * self.cell + self.small.getlength(label)
