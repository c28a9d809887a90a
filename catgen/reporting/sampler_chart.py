"""What ways of drawing cost and give: bits against calls of the network, and a sample of each, for one run or several.

Matplotlib is imported late.
"""

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from catgen.reporting.charts import lines_by_calls, literal, new_figure, save, styled

_WIDTH, _CHART = 7.6, 4.2  # inches of a panel, and of its chart
_LINE, _COLUMNS, _MOST_LINES = 0.15, 92, 3  # of text
_MAPS_A_ROW, _MAP_ROW = 4, 1.5  # of pictures


class Panel(NamedTuple):
  """One run."""

  title: str
  unit: str  # "bits per character"
  curves: Mapping[str, Sequence[tuple[float, float, float]]]  # name of the way -> (calls, bits, standard error)
  samples: Mapping[str, "str | UInt8[np.ndarray, 'height width 3']"]  # caption -> a sample of text or of colors


def bits_and_calls(panels: Sequence[Panel], path: str | os.PathLike[str]) -> None:
  """Draws a panel for each run: a line for each way of drawing, with standard errors, and its samples below.

  Args:
    panels: of the runs, from left to right.
    path: picture to write; its ending says the format.
  """
  below = max(_height(panel) for panel in panels)
  figure, _ = new_figure(0, (_WIDTH * len(panels), _CHART + below))
  rows = 2 if below else 1
  grid = figure.add_gridspec(rows, len(panels), height_ratios=[_CHART, below][:rows])
  for column, panel in enumerate(panels):
    axis = styled(figure.add_subplot(grid[0, column]))
    lines_by_calls(axis, panel.curves)
    axis.set(ylabel=panel.unit, title=f"{literal(panel.title)}bits and calls, exact (lower is better)")
    if panel.samples:
      _draw_samples(figure, grid[1, column], panel.samples)
  save(figure, path)


def _height(panel: Panel) -> float:
  pictures = sum(not isinstance(sample, str) for sample in panel.samples.values())
  lines = sum(1 + len(_lines(sample)) for sample in panel.samples.values() if isinstance(sample, str))
  return _MAP_ROW * math.ceil(pictures / _MAPS_A_ROW) + _LINE * lines


def _lines(text: str) -> list[str]:
  return textwrap.wrap(text, _COLUMNS, max_lines=_MOST_LINES, placeholder=" ...", drop_whitespace=False) or [""]


def _draw_samples(figure: Any, place: Any, samples: Mapping[str, Any]) -> None:
  """Draws texts as lines below one another, or pictures side by side."""
  if isinstance(next(iter(samples.values())), str):
    axis = figure.add_subplot(place)
    axis.axis("off")
    text = "\n".join(line for caption, sample in samples.items() for line in (f"{caption}:", *_lines(sample)))
    axis.text(0, 1, text, transform=axis.transAxes, va="top", family="monospace", fontsize=7, parse_math=False)
    return
  inner = place.subgridspec(math.ceil(len(samples) / _MAPS_A_ROW), _MAPS_A_ROW)
  for number, (caption, picture) in enumerate(samples.items()):
    axis = figure.add_subplot(inner[number // _MAPS_A_ROW, number % _MAPS_A_ROW])
    axis.imshow(picture, interpolation="nearest")
    axis.axis("off")
    axis.set_title(caption, fontsize=7)
