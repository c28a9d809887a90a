"""Charts of numbers: the loss curve, where a bound loses its bits, models compared. Matplotlib is imported late."""

import itertools
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from catgen.files import drawn
from catgen.interfaces import InputError
from catgen.paths import ending_of
from catgen.reporting.writers import read_metrics

BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "#6B7280"  # Okabe and Ito: apart for color-blind eyes too
_LINES = (BLUE, ORANGE, GREEN, GRAY, "#CC79A7", "#E69F00")


def loss_curve(
  metrics_path: str | os.PathLike[str],
  path: str | os.PathLike[str],
  *,
  position: str,
  baselines: Mapping[str, float] | None = None,
  title: str = "Training",
  train: str = "train/bits",
  validation: str = "validation/bits",
) -> None:
  """Draws bits per position over steps: training as measured and smoothed, validation points, baselines as lines.

  Args:
    metrics_path: a metrics.jsonl.
    path: picture to write; its ending says the format.
    position: what one is, "character".
    baselines: name -> bits per position, such as n-gram cross-entropies.
    title: heading.
    train, validation: names in the metrics.

  Raises:
    InputError: no training values in the metrics, or the picture cannot be written.
  """
  records = read_metrics(metrics_path)
  steps, bits = _curve(records, train)
  if not steps.size:
    raise InputError(f"{metrics_path} has no values of {train!r} to draw")
  checked_steps, checked_bits = _curve(records, validation)
  figure, axes = new_figure(1, (8.0, 4.6))
  axis = axes[0]
  axis.plot(steps, bits, color=BLUE, alpha=0.22, linewidth=0.8)
  axis.plot(steps, smooth(bits), color=BLUE, linewidth=2, label="training (smoothed)")
  if checked_steps.size:
    axis.plot(
      checked_steps, checked_bits, "o", color=ORANGE, markersize=5, label=f"validation (last {checked_bits[-1]:.3f})"
    )
  lines = dict(baselines or {})
  axis.set(xlabel="step", ylabel=f"bits per {position}", title=title)
  _frame(axis, np.concatenate([bits, checked_bits]), list(lines.values()))
  _label_levels(axis, lines)
  axis.legend(loc="upper right", facecolor="white", edgecolor="none", framealpha=1.0)
  save(figure, path)


def curves_beside(
  runs: Mapping[str, Sequence[Mapping[str, Any]]],
  path: str | os.PathLike[str],
  *,
  unit: str,
  train: str = "train/bits",
  validation: str = "validation/bits",
) -> bool:
  """Draws the loss curves of several runs over each other: training smoothed, validation as points.

  Args:
    runs: name -> lines of its metrics.jsonl.
    path: picture to write; its ending says the format.
    unit: "bits per character".
    train, validation: names in the metrics.

  Returns:
    False, and draws nothing, where there is nothing to draw.
  """
  found = {name: (_curve(lines, train), _curve(lines, validation)) for name, lines in runs.items()}
  values = np.concatenate([bits for curves in found.values() for _, bits in curves] or [np.zeros(0)])
  if not values.size:
    return False
  figure, (axis,) = new_figure(1, (8.0, 4.6))
  for color, (name, ((steps, bits), (checked_steps, checked))) in zip(itertools.cycle(_LINES), found.items()):
    name = literal(name)
    if steps.size:
      axis.plot(steps, smooth(bits), color=color, linewidth=2, label=f"{name}, training (smoothed)")
    if checked.size:
      label = f"{name}, validation (last {checked[-1]:.3f})"
      axis.plot(checked_steps, checked, "o", color=color, markersize=5, markeredgecolor="white", label=label)
  axis.set(xlabel="step", ylabel=unit)
  _frame(axis, values, [])
  axis.legend(loc="upper right", facecolor="white", edgecolor="none", framealpha=1.0)
  save(figure, path)
  return True


def bound_anatomy(
  by_time: Float[np.ndarray, "time"],
  by_position: Float[np.ndarray, "*event"],
  path: str | os.PathLike[str],
  *,
  position: str,
  title: str = "Where the bound loses its bits",
) -> None:
  """Draws the loss by time step (left) and by place in an example (right; a map where examples are planes).

  Args:
    by_time: bits per position of each step, entry t - 1 for the step from x_t to x_(t-1); they add up to the bound.
    by_position: bits at each place of the example; NaN where no example has one.
    path: picture to write.
    position: what one is, "character".
    title: heading.
  """
  figure, (left, right) = new_figure(2, (11.0, 4.2))
  figure.suptitle(title)
  steps = np.arange(1, len(by_time) + 1)
  left.fill_between(steps, by_time, step="mid", color=BLUE, alpha=0.3, linewidth=0)
  left.step(steps, by_time, where="mid", color=BLUE, linewidth=1.5)
  left.set(xlabel="time step t (1 = next to the data)", ylabel=f"bits per {position}, in this step")
  left.set_title(f"by time step: {by_time.sum():.3f} bits in all", fontsize=10)
  left.set_xlim(1, max(2, len(by_time)))
  left.set_ylim(bottom=min(0.0, float(np.min(by_time))))
  right.set_title("by place", fontsize=10)  # no average: places that fewer examples have weigh less in the bound
  if by_position.ndim == 2:
    right.grid(visible=False)
    image = right.imshow(by_position, cmap="viridis", aspect="equal")
    figure.colorbar(image, ax=right, label=f"bits per {position}", shrink=0.8)
    right.set(xlabel="column", ylabel="row")
    right.spines[:].set_visible(False)
  else:
    flat = by_position.reshape(-1)
    right.plot(np.arange(1, flat.size + 1), flat, color=ORANGE, linewidth=1.5)
    right.set(xlabel=f"{position} in the example", ylabel=f"bits per {position}")
    right.set_xlim(1, max(2, flat.size))
    spread = max(float(np.nanmax(flat) - np.nanmin(flat)), 0.1 * float(np.nanmean(np.abs(flat))), 1e-6)
    right.set_ylim(float(np.nanmin(flat)) - 0.3 * spread, float(np.nanmax(flat)) + 0.3 * spread)
  save(figure, path)


def comparison(
  labels: Sequence[str],
  bits: Sequence[float],
  errors: Sequence[float],
  each: Sequence[Sequence[float]],
  path: str | os.PathLike[str],
  *,
  unit: str,
) -> None:
  """Draws one line per model, best on top: bits with the standard error over examples; rings where seeds are several.

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
  ring = {"markersize": 9, "markerfacecolor": "none", "markeredgecolor": GRAY, "alpha": 0.6}
  for place, i in enumerate(order):
    if len(each[i]) > 1:
      axis.plot(each[i], [place] * len(each[i]), "o", **ring)
    axis.errorbar(bits[i], place, xerr=np.nan_to_num(errors[i]), fmt="o", color=BLUE, markersize=4, capsize=3)
    axis.annotate(f"{bits[i]:.3f}", (bits[i], place), (0, 8), textcoords="offset points", ha="center", fontsize=9)
  axis.set_yticks(range(len(labels)), [literal(labels[i]) for i in order])
  axis.set_ylim(-0.6, len(labels) - 0.3)
  axis.margins(x=0.12)
  seeds = ", rings: seeds" if any(len(own) > 1 for own in each) else ""
  axis.set(xlabel=f"{unit} (lower is better; bars: standard error over the data{seeds})")
  save(figure, path)


def against_calls(
  panels: Mapping[str, Mapping[str, Sequence[tuple[float, float, float]]]],
  levels: Mapping[str, float],
  path: str | os.PathLike[str],
  *,
  level: str,
) -> None:
  """Draws, of each quantity, a line for each way of drawing against calls of the network.

  Args:
    panels: quantity -> name of the way -> (calls, value, standard error).
    levels: quantity -> what samples should reach.
    path: picture to write; its ending says the format.
    level: what the levels are of.
  """
  figure, axes = new_figure(len(panels), (4.2 * len(panels), 3.8))
  for axis, (title, curves) in zip(axes, panels.items(), strict=True):
    if title in levels:
      axis.axhline(levels[title], color=GRAY, linestyle=(0, (4, 3)), linewidth=1.2, label=level)
    lines_by_calls(axis, curves, legend=axis is axes[0])
    axis.set_title(title, fontsize=10)
  save(figure, path)


def lines_by_calls(axis: Any, curves: Mapping[str, Sequence[tuple[float, float, float]]], legend: bool = True) -> None:
  """Draws a line for each name through (calls, value, standard error)."""
  colors, marks = _LINES, "osD^vP"
  for number, (name, points) in enumerate((name, points) for name, points in curves.items() if points):
    calls, values, errors = zip(*sorted(points), strict=True)
    style = {"color": colors[number % len(colors)], "marker": marks[number % len(marks)], "label": name}
    axis.errorbar(calls, values, yerr=errors, markersize=5, capsize=2, linewidth=1.2, **style)
  axis.set_xscale("log", base=2)
  axis.xaxis.set_major_formatter(lambda value, place: f"{value:g}")
  axis.set_xlabel("calls of the network for an example")
  if legend and axis.get_legend_handles_labels()[0]:
    axis.legend(facecolor="white", edgecolor="none", framealpha=1.0)


def smooth(values: Float[np.ndarray, "steps"]) -> Float[np.ndarray, "steps"]:
  """Returns Gaussian means around each point, which unlike a running average do not lag behind a falling curve.

  The width is a sixtieth of the series. Near its ends as many points before as behind a point count, so that a curve
  begins where the first measured value is, and not below it.
  """
  radius = min(round(len(values) / 20), (len(values) - 1) // 2)
  kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(1.0, len(values) / 60)) ** 2)
  found = np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")
  for i in range(radius):
    weights = kernel[radius - i : radius + i + 1]
    found[i] = np.average(values[: 2 * i + 1], weights=weights)
    found[-1 - i] = np.average(values[len(values) - 2 * i - 1 :], weights=weights)
  return found


def _curve(records: Sequence[Mapping[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
  pairs = [(record["step"], record[name]) for record in records if record.get(name) is not None]
  steps, values = np.array(pairs, np.float64).reshape(-1, 2).T
  known = np.isfinite(values)  # our own files have none other, those of other writers may
  return steps[known], values[known]


def new_figure(columns: int, size: tuple[float, float]) -> tuple[Any, list[Any]]:
  """Returns a figure in the style of all, and its axes from left to right.

  Args:
    columns: how many axes; 0 = none yet.
    size: width and height in inches, of 150 pixels each.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=size, dpi=150, layout="constrained")
  return figure, [styled(figure.add_subplot(1, columns, i + 1)) for i in range(columns)]


def literal(text: str) -> str:
  """Returns what matplotlib draws as a text letter by letter: between two "$" it would read a formula."""
  return text.replace("$", r"\$")


def styled(axis: Any) -> Any:
  """Returns the axis in the style of all."""
  axis.spines[["top", "right"]].set_visible(False)
  axis.grid(axis="y", color="#E5E7EB", linewidth=0.8)
  axis.set_axisbelow(True)
  return axis


def _frame(axis: Any, bits: np.ndarray, levels: list[float]) -> None:
  """Shows where the curve ends and the baselines; a few high values at the start may leave the picture."""
  top = max([float(np.quantile(bits, 0.98)), *levels])
  bottom = min([float(bits.min()), *levels])
  margin = 0.06 * max(top - bottom, 0.1)
  axis.set_ylim(bottom - margin, top + margin)
  axis.set_xlim(left=0)


def _label_levels(axis: Any, lines: Mapping[str, float]) -> None:
  """Draws horizontal lines with their names in the right margin, moved apart where they would overlap."""
  bottom, top = axis.get_ylim()
  gap, place = 0.05 * (top - bottom), -np.inf
  for name, bits in sorted(lines.items(), key=lambda item: item[1]):
    place = max(bits, place + gap)
    axis.axhline(bits, color=GRAY, linestyle=(0, (4, 3)), linewidth=1)
    axis.text(
      1.01, place, f"{name} {bits:.3f}", transform=axis.get_yaxis_transform(), va="center", color=GRAY, fontsize=9
    )


def save(figure: Any, path: str | os.PathLike[str]) -> None:
  """Writes a figure; its ending says the format.

  Raises:
    InputError: it cannot be written, or the ending is no picture format.
  """
  with drawn(path) as place:
    render(figure, place, ending_of(path)[1:] or None)


def render(figure: Any, place: Any, kind: str | None) -> None:
  """Writes a figure to a file of the format `kind`, with boxes for characters that the font lacks.

  Matplotlib's line about each of them is left out: who names a thing in a picture tells of it (`missing_glyphs`).
  """
  with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Glyph")
    figure.savefig(place, format=kind)
