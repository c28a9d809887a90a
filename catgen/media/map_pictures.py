"""Pictures of label maps in the colors of their categories: grids, sets side by side, how sure a completion is.

Chains of samplers are in map_chain.py, statistics in map_statistics.py.
"""

import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from catgen.bounds import bits_per_position
from catgen.reporting.colors import BLANK, colored, is_blank
from catgen.reporting.drawing import INK, PAPER, QUIET, save_image
from catgen.reporting.tiles import WIDTH, Block, Entry, Sheet, best_columns, draw_sheet
from catgen.sources import Legend

_MAX_ENTRIES = 40  # of a legend


def map_grid(
  maps: Int[np.ndarray, "maps height width"],
  path: str | os.PathLike[str],
  *,
  legend: Legend,
  columns: int | None = None,
  title: str = "",
  labels: Sequence[str] | None = None,
  blank: str = "no category",
) -> None:
  """Draws maps in rows, with a legend of the categories that occur.

  Args:
    maps: categories; what lies outside [0, K) becomes a light checkerboard.
    path: picture to write; its ending says the format.
    legend: see `colors.legend_or_numbers`.
    columns: in a row; None = as many as fill a landscape page.
    title: heading.
    labels: one per map, written below it.
    blank: what the checkerboard means, for the legend.

  Raises:
    InputError: no maps, or the picture cannot be written.
  """
  tiles = colored(maps, legend)
  wide = columns or best_columns(max(1, len(maps)), *maps.shape[1:])
  sheet = draw_sheet([Block("", tiles, wide, labels)], title=title, entries=legend_entries([maps], legend, blank))
  save_image(sheet.image, path)


def maps_beside(
  groups: Mapping[str, Int[np.ndarray, "maps height width"]],
  path: str | os.PathLike[str],
  *,
  legend: Legend,
  columns: int | None = None,
  title: str = "",
  blank: str = "no category",
  width: int = WIDTH,
) -> None:
  """Draws sets of maps side by side, each under its name: data beside samples.

  Args:
    groups: name -> maps.
    columns: of each set; None = as many as fill the page; with 1 the maps of an example (observed, completion, truth)
      stand in a row.
    width: of the picture in pixels, about.
    path, legend, title, blank: see `map_grid`.
  """
  number, high, wide = max((maps.shape for maps in groups.values()), default=(1, 1, 1))
  across = columns or best_columns(max(1, number), high, wide * max(1, len(groups)))
  blocks = [Block(name, colored(maps, legend), across) for name, maps in groups.items()]
  sheet = draw_sheet(blocks, title=title, entries=legend_entries(groups.values(), legend, blank), width=width)
  save_image(sheet.image, path)


def map_uncertainty(
  pattern: Int[np.ndarray, "height width"],
  observed: Bool[np.ndarray, "height width"],
  completions: Int[np.ndarray, "completions height width"],
  path: str | os.PathLike[str],
  *,
  legend: Legend,
  bits: Float[np.ndarray, "height width"] | None = None,
  truth: Int[np.ndarray, "height width"] | None = None,
  title: str = "",
) -> None:
  """Draws what was given, one completion (and the truth), and how unsure each completed pixel is.

  Args:
    pattern: the map that was completed; shown where observed.
    observed: which pixels were given; regions of others are outlined.
    completions: of the same pattern; the first is shown.
    bits: entropy of each pixel, where probabilities are known; None = that of the frequencies among the completions.
    truth: the whole map, where known; -1 where it has no category.
    path, legend, title: see `map_grid`.
  """
  source = "uncertainty" if bits is not None else f"entropy over {len(completions)} completions"
  bits = map_entropy(completions, len(legend.colors)) if bits is None else bits
  maps = {"observed": np.where(observed, pattern, -1), "a completion": completions[0]}
  maps |= {} if truth is None else {"truth": truth}
  highest = max(float(np.where(observed, 0.0, bits).max()), 0.01)
  faded = (255 - (255 - colored(pattern, legend).astype(int)) // 4).astype(np.uint8)
  heat = np.where(observed[..., None], faded, _heat(bits / highest))
  blocks = [Block(name, colored(panel[None], legend)) for name, panel in maps.items()]
  blocks.append(Block(source, heat[None]))
  blank = "to fill in" if truth is None or not is_blank(truth, legend).any() else "to fill in, or ignored"
  entries = legend_entries(list(maps.values()), legend, blank)
  height, width = observed.shape
  sheet = draw_sheet([*blocks, _upright_ruler(height, width)], title=title, entries=entries, gap=18)
  if height * sheet.scale < 2 * sheet.line:  # too low for the numbers at both ends
    sheet = draw_sheet([*blocks, _flat_ruler(height, width, highest)], title=title, entries=entries, gap=18)
  else:
    _mark_ruler(sheet, height, highest)
  for (corner,) in sheet.corners[1:-1]:
    _outline(sheet, corner, observed)
  save_image(sheet.image, path)


def map_entropy(maps: Int[np.ndarray, "maps height width"], num_classes: int) -> Float[np.ndarray, "height width"]:
  """Returns the entropy in bits of each pixel's frequencies in a set of maps: at most log2 of their number."""
  shares = np.stack([(maps == category).mean(axis=0) for category in range(num_classes)])
  return bits_per_position(-(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=0), 1.0)


def legend_entries(maps: Iterable[Int[np.ndarray, "*maps height width"]], legend: Legend, blank: str) -> list[Entry]:
  """Returns the legend of what occurs in maps; of very many categories some, evenly spaced."""
  occurring = np.unique(np.concatenate([np.zeros(0, int), *(np.unique(each) for each in maps)]))
  known = occurring[~is_blank(occurring, legend)]
  shown = known
  if len(known) > _MAX_ENTRIES:
    shown = known[np.round(np.linspace(0, len(known) - 1, _MAX_ENTRIES // 2)).astype(int)]
  entries = [Entry((legend.colors[i],), legend.names[i]) for i in shown]
  return entries + ([Entry(BLANK, blank)] if len(known) < len(occurring) else [])


def _heat(shares: Float[np.ndarray, "*places"]) -> UInt8[np.ndarray, "*places 3"]:
  from matplotlib import colormaps

  return colormaps["viridis"](shares, bytes=True)[..., :3]


def _outline(sheet: Sheet, corner: tuple[int, int], observed: Bool[np.ndarray, "height width"]) -> None:
  """Draws the border of what was not observed, unless it is so scattered that the border would hide it."""
  padded = np.pad(observed, 1, constant_values=True)
  across, down = padded[1:-1, 1:] != padded[1:-1, :-1], padded[1:, 1:-1] != padded[:-1, 1:-1]
  if 2 * (across.sum() + down.sum()) > 3 * (~observed).sum():
    return
  left, top, scale = *corner, sheet.scale
  edges = [(left + x * scale, top + y * scale, 0, scale) for y, x in np.argwhere(across)]
  edges += [(left + x * scale, top + y * scale, scale, 0) for y, x in np.argwhere(down)]
  for color, reach in ((PAPER, 1), (INK, 0)):
    for x, y, wide, high in edges:
      sheet.draw.rectangle((x - reach - 1, y - reach - 1, x + wide + reach, y + high + reach), fill=color)


def _upright_ruler(height: int, width: int) -> Block:
  """Returns the color scale of bits, the highest on top, with room for numbers beside it."""
  ruler = np.full((1, height, max(6, width // 4), 3), 255, np.uint8)
  ruler[0, :, :2] = _heat(np.linspace(1.0, 0.0, height))[:, None]
  return Block("bits", ruler)


def _flat_ruler(height: int, width: int, highest: float) -> Block:
  """Returns the color scale from left to right, with its ends in the heading."""
  colors = _heat(np.linspace(0.0, 1.0, max(6, width // 4)))
  return Block(f"0.00 to {highest:.2f} bits", np.tile(colors, (1, height, 1, 1)))


def _mark_ruler(sheet: Sheet, height: int, highest: float) -> None:
  """Writes the ends of the color scale beside the last block."""
  ((left, top),) = sheet.corners[-1]
  x, bottom = left + 2 * sheet.scale + 6, top + height * sheet.scale
  for y, value in ((top, highest), (bottom - sheet.line, 0.0)):
    sheet.draw.text((x, y), f"{value:.2f}", font=sheet.font, fill=QUIET)
