"""Pictures of a sampler's chain of maps: a strip (PNG) and an animation (GIF)."""

import os
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from catgen.interfaces import InputError
from catgen.media.map_pictures import legend_entries
from catgen.reporting.colors import colored
from catgen.reporting.drawing import progress_bar, save_animation, save_image
from catgen.reporting.tiles import MARGIN, Block, best_columns, draw_sheet
from catgen.sources import Legend

_GIF_WIDTH = 700


def map_chain(
  frames: Int[np.ndarray, "frames examples height width"],
  labels: Sequence[str],
  path: str | os.PathLike[str],
  *,
  legend: Legend,
  title: str = "How maps are drawn; % of the sampler's moves",
) -> None:
  """Draws the states of a sampler from left to right, noise first; each example has a row.

  Args:
    frames: categories; K stands for "not drawn yet" and becomes a light checkerboard.
    labels: one per frame, such as "50%"; shown above it.
    path: picture to write.
    legend: see `colors.legend_or_numbers`.
    title: heading.

  Raises:
    InputError: no frames, or the picture cannot be written.
  """
  _check(frames, labels)
  blocks = [Block(label, colored(frame, legend)) for label, frame in zip(labels, frames, strict=True)]
  entries = legend_entries([frames], legend, "not drawn yet")
  save_image(draw_sheet(blocks, title=title, entries=entries, gap=6).image, path)


def map_chain_animation(
  frames: Int[np.ndarray, "frames examples height width"],
  labels: Sequence[str],
  path: str | os.PathLike[str],
  *,
  legend: Legend,
  title: str = "How maps are drawn; % of the sampler's moves",
  milliseconds: int = 120,
) -> None:
  """Writes the states as a GIF that loops, with a bar for the progress; the last frame stays for three seconds.

  Args:
    frames, labels, path, legend, title: see `map_chain`; the examples stand in a grid.
    milliseconds: how long a frame is shown.
  """
  _check(frames, labels)
  entries = legend_entries([frames], legend, "not drawn yet")
  columns = best_columns(*frames.shape[1:])
  images = []
  for number, (label, frame) in enumerate(zip(labels, frames, strict=True)):
    block = Block(label, colored(frame, legend), columns)
    sheet = draw_sheet([block], title=title, entries=entries, footer=30, width=_GIF_WIDTH)
    width, height = sheet.image.size
    progress_bar(sheet.draw, MARGIN, width - MARGIN, height - MARGIN, number / max(1, len(frames) - 1))
    images.append(sheet.image.quantize(colors=256, dither=0))
  save_animation(images, path, milliseconds)


def _check(frames: Int[np.ndarray, "frames examples height width"], labels: Sequence[str]) -> None:
  if not len(frames) or len(frames) != len(labels):
    raise InputError("a chain needs at least one frame, and a label for each")
