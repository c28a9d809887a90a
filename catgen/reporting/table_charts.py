"""Pictures of tables side by side: the columns of each, how alike they are, scores of their rows."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float64

from catgen.reporting.charts import BLUE, GRAY, GREEN, ORANGE, literal, new_figure, styled

_ACROSS, _LABEL = 4, 14  # panels in a row; characters of a label
_COLORS = (GRAY, BLUE, ORANGE, GREEN)
_FEW = 60  # columns whose names are written


class Marginal(NamedTuple):
  """How often the values of a column are in each of several tables."""

  name: str
  title: str
  labels: tuple[str, ...]  # of categories, or of the two ends where there are bins
  shares: Mapping[str, Float64[np.ndarray, "values"]]  # by the names of the tables


def marginals(columns: Sequence[Marginal]) -> Any:
  """Returns a figure of columns, a panel each: shares of categories as bars, of numbers as steps."""
  down = -(-len(columns) // _ACROSS)
  figure, _ = new_figure(0, (11.0, 0.5 + 2.3 * down))
  for number, column in enumerate(columns):
    axis = styled(figure.add_subplot(down, _ACROSS, number + 1))
    _marginal(axis, column)
    axis.set_title(f"{_short(column.name, 22)}\n{column.title}", fontsize=9)
    axis.tick_params(labelsize=7)
    if not number:
      axis.legend(fontsize=7, facecolor="white", edgecolor="none")
  return figure


def _marginal(axis: Any, column: Marginal) -> None:
  size, width = len(next(iter(column.shares.values()))), 0.8 / len(column.shares)
  by_bins = size != len(column.labels)
  for place, (name, shares) in enumerate(column.shares.items()):
    color = _COLORS[place % len(_COLORS)]
    if by_bins:
      axis.stairs(
        shares, np.arange(size + 1), color=color, label=literal(name), fill=not place, alpha=1.0 if place else 0.5
      )
    else:
      axis.bar(np.arange(size) + (place + 0.5) * width - 0.4, shares, width, color=color, label=literal(name))
  if by_bins:
    axis.set_xticks([0, size], [_short(label) for label in column.labels])
  else:
    axis.set_xticks(np.arange(size), [_short(label) for label in column.labels], rotation=30, ha="right")


def similarities(names: Sequence[str], values: Mapping[str, Float[np.ndarray, "columns"]], xlabel: str) -> Any:
  """Returns a figure with a line for each column, in which a mark stands where each of several tables is."""
  figure, (axis,) = new_figure(1, (8.0, 1.4 + 0.26 * min(len(names), _FEW)))
  axis.grid(axis="x", color="#E5E7EB", linewidth=0.8)
  for place, (name, row) in enumerate(values.items()):
    axis.plot(
      row,
      np.arange(len(names)),
      "os"[place % 2],
      color=_COLORS[(place + 1) % len(_COLORS)],
      markersize=5,
      label=literal(name),
    )
  shown = list(names) if len(names) <= _FEW else []
  axis.set_yticks(range(len(shown)), [_short(name, 30) for name in shown])
  axis.invert_yaxis()
  axis.set(xlabel=xlabel)
  axis.set_xlim(right=1.005)
  axis.legend(loc="lower left", facecolor="white", edgecolor="none")
  return figure


def pair_matrix(names: Sequence[str], values: Float[np.ndarray, "columns columns"], label: str) -> Any:
  """Returns a figure of a number for each pair of columns; NaN: none."""
  side = 3.0 + 0.22 * min(len(names), 30)
  figure, (axis,) = new_figure(1, (side + 1.5, side))
  axis.grid(visible=False)
  axis.grid(axis="y", visible=False)
  low = float(np.nanmin(values)) if np.isfinite(values).any() else 0.0
  image = axis.imshow(values, cmap="viridis", vmin=min(low, 0.8), vmax=1.0)
  figure.colorbar(image, ax=axis, label=label, shrink=0.8)
  shown = [_short(name) for name in names] if len(names) <= _FEW else []
  axis.set_xticks(range(len(shown)), shown, rotation=90, fontsize=7)
  axis.set_yticks(range(len(shown)), shown, fontsize=7)
  return figure


def score_histograms(scores: Mapping[str, Float[np.ndarray, "_"]], xlabel: str) -> Any:
  """Returns a figure of the shares of rows by their scores, a line for each set."""
  figure, (axis,) = new_figure(1, (8.0, 3.6))
  finite = np.concatenate([each[np.isfinite(each)] for each in scores.values()])
  low, high = np.quantile(finite, [0.002, 0.998]) if finite.size else (0.0, 1.0)
  edges = np.linspace(low, high if high > low else low + 1.0, 41)
  for place, (name, values) in enumerate(scores.items()):
    counts = np.histogram(np.clip(np.nan_to_num(values, posinf=edges[-1]), edges[0], edges[-1]), edges)[0]
    color = _COLORS[place % len(_COLORS)]
    axis.stairs(
      counts / max(1, len(values)), edges, color=color, label=literal(name), fill=not place, alpha=1 if place else 0.5
    )
  axis.set(xlabel=xlabel, ylabel="share of the rows")
  axis.legend(facecolor="white", edgecolor="none")
  return figure


def _short(text: str, most: int = _LABEL) -> str:
  plain = "".join(each if each.isprintable() else " " for each in text)
  return literal(plain if len(plain) <= most else f"{plain[: most - 1]}…")
