"""The picture of how often categories and neighbors occur in sets of maps. Matplotlib is imported where it is used."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from catgen.interfaces import InputError
from catgen.reporting.charts import BLUE, GRAY, GREEN, ORANGE, literal, new_figure, save, styled
from catgen.sources import Legend

_SETS = (GRAY, BLUE, ORANGE, GREEN)
_NAMED_ROWS, _NAMED_BARS = 16, 48  # with more categories these have numbers now and then
_RAREST = 1e-4  # share of pairs below which a matrix shows nothing
_FACTOR = 8.0  # where the colors of a quotient end


def map_statistics(
  classes: Mapping[str, Float[np.ndarray, "classes"]],
  pairs: Mapping[str, Mapping[str, Float[np.ndarray, "classes classes"]]],
  path: str | os.PathLike[str],
  *,
  legend: Legend,
  title: str = "How often categories and neighbors occur",
) -> None:
  """Draws the shares of categories as bars, and of each direction the first set's pairs and the others' over them.

  Args:
    classes: name of a set, the data first -> share of each category; up to four sets.
    pairs: "the pixel to the right", say -> name of a set -> share of each pair, entry (a, b): b is there next to a.
    path: picture to write; its ending says the format.
    legend: see `colors.legend_or_numbers`.
    title: heading.

  Raises:
    InputError: fewer than two or more than four sets, or the picture cannot be written.
  """
  if not 2 <= len(classes) <= len(_SETS):
    raise InputError(f"two to {len(_SETS)} sets of maps can be compared in a picture, not {len(classes)}")
  reference, *others = classes
  rows, columns = max(1, len(pairs)), len(classes)
  figure, _ = new_figure(0, (5.2 + 4.2 * columns, max(0.8 + 3.8 * rows, 0.25 * min(len(legend.names), _NAMED_BARS))))
  figure.suptitle(title)
  grid = figure.add_gridspec(rows, 1 + columns, width_ratios=(1.25, *[1.0] * columns))
  _bars(styled(figure.add_subplot(grid[:, 0])), classes, legend)
  for row, (direction, shares) in enumerate(pairs.items()):
    first = shares[reference]
    axis = figure.add_subplot(grid[row, 1])
    _draw_shares(figure, axis, first, reference)
    _name_categories(axis, legend, direction)
    for column, name in enumerate(others, start=2):
      axis = figure.add_subplot(grid[row, column])
      _draw_quotient(figure, axis, shares[name], first, f"{name} over {reference}")
      _name_categories(axis, legend, direction)
  save(figure, path)


def _bars(axis: Any, classes: Mapping[str, Float[np.ndarray, "classes"]], legend: Legend) -> None:
  """Draws a group of bars for each category, the first set on top, with its share in percent."""
  number, places = len(classes), np.arange(len(legend.names))
  thickness = 0.8 / number
  for i, (name, shares) in enumerate(classes.items()):
    at = places + (i - (number - 1) / 2) * thickness
    bars = axis.barh(at, 100 * shares, 0.92 * thickness, color=_SETS[i], label=name)
    if len(places) <= _NAMED_ROWS:
      axis.bar_label(bars, [f"{100 * share:.2g}" for share in shares], padding=3, fontsize=8, color=GRAY)
  axis.grid(axis="x", color="#E5E7EB", linewidth=0.8)
  axis.grid(axis="y", visible=False)
  axis.set_ylim(len(places) - 0.4, -0.6)
  axis.margins(x=0.12)
  if len(places) <= _NAMED_BARS:
    axis.set_yticks(places, list(map(literal, legend.names)))
    beside = {"transform": axis.get_yaxis_transform(), "clip_on": False}
    axis.scatter(np.full(len(places), -0.03), places, 60, legend.colors, "s", **beside)
    axis.tick_params(axis="y", length=0, pad=16)
  axis.set(xlabel="% of the pixels")
  axis.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=number, frameon=False, handlelength=1, fontsize=9)


def _draw_shares(figure: Any, axis: Any, shares: Float[np.ndarray, "classes classes"], title: str) -> None:
  from matplotlib.colors import LogNorm

  shown = np.ma.masked_less(shares, _RAREST)
  image = axis.imshow(shown, cmap="viridis", norm=LogNorm(_RAREST, 1.0), aspect="equal")
  figure.colorbar(image, ax=axis, label="share of all pairs", shrink=0.85)
  axis.set_title(title, fontsize=10)


def _draw_quotient(
  figure: Any,
  axis: Any,
  shares: Float[np.ndarray, "classes classes"],
  first: Float[np.ndarray, "classes classes"],
  title: str,
) -> None:
  """Draws shares / first where one of them is not rare."""
  from matplotlib.colors import LogNorm

  rare = np.maximum(shares, first) < _RAREST
  quotient = np.maximum(shares, _RAREST / _FACTOR) / np.maximum(first, _RAREST / _FACTOR)
  norm = LogNorm(1 / _FACTOR, _FACTOR)
  image = axis.imshow(np.ma.array(np.clip(quotient, 1 / _FACTOR, _FACTOR), mask=rare), cmap="PuOr_r", norm=norm)
  bar = figure.colorbar(image, ax=axis, label="times as often", shrink=0.85)
  ticks = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]
  bar.set_ticks(ticks, labels=["≤ 1/8", "1/4", "1/2", "1", "2", "4", "≥ 8"])
  bar.minorticks_off()
  axis.set_title(title, fontsize=10)


def _name_categories(axis: Any, legend: Legend, direction: str) -> None:
  axis.spines[:].set_visible(False)
  axis.set_facecolor("#F3F4F6")
  axis.set(xlabel=direction, ylabel="pixel")
  if len(legend.names) <= _NAMED_ROWS:
    places, names = range(len(legend.names)), list(map(literal, legend.names))
    axis.set_xticks(places, names, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    axis.set_yticks(places, names, fontsize=8)
