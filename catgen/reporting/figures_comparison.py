"""The picture of a comparison of models. Matplotlib is imported where it is used."""

import os
from collections.abc import Sequence

import numpy as np

from catgen.reporting.figures import BLUE, GRAY, new_figure, save


def comparison(
  labels: Sequence[str],
  bits: Sequence[float],
  errors: Sequence[float],
  each: Sequence[Sequence[float]],
  path: str | os.PathLike[str],
  *,
  unit: str,
) -> None:
  """Draws one line per model, best on top: its bits with the standard error over examples, and each seed as a ring.

  Args:
    labels: names of the models.
    bits, errors: means and standard errors; NaN draws no bar.
    each: of every model the bits of its seeds.
    path: picture to write; its ending says the format.
    unit: "bits per character".
  """
  order = np.argsort(bits, kind="stable")[::-1]
  figure, (axis,) = new_figure(1, (8.0, 1.2 + 0.45 * len(labels)))
  axis.grid(axis="x", color="#E5E7EB", linewidth=0.8)
  axis.grid(axis="y", visible=False)
  for place, i in enumerate(order):
    axis.plot(
      each[i], [place] * len(each[i]), "o", markersize=9, markerfacecolor="none", markeredgecolor=GRAY, alpha=0.6
    )
    axis.errorbar(bits[i], place, xerr=np.nan_to_num(errors[i]), fmt="o", color=BLUE, markersize=4, capsize=3)
    axis.annotate(f"{bits[i]:.3f}", (bits[i], place), (0, 8), textcoords="offset points", ha="center", fontsize=9)
  axis.set_yticks(range(len(labels)), [labels[i] for i in order])
  axis.set_ylim(-0.6, len(labels) - 0.3)
  axis.margins(x=0.12)
  axis.set(xlabel=f"{unit} (lower is better; bars: standard error over examples, rings: seeds)")
  save(figure, path)
