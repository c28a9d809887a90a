"""Colors of categories: those of a legend, or colors that color-blind eyes tell apart where a data set names none."""

import numpy as np
from jaxtyping import Bool, Int, UInt8

from catgen.interfaces import InputError
from catgen.reporting.charts import BLUE, GREEN, ORANGE
from catgen.sources import Legend

# Okabe and Ito, whose first three are those of all figures
_FEW = (BLUE, ORANGE, GREEN, "#F0E442", "#56B4E9", "#CC79A7", "#E69F00", "#000000")
# What has no category is a checkerboard of these, which no legend has: a plain gray could be a category.
BLANK = ("#E5E7EB", "#FAFAFA")


def legend_or_numbers(legend: Legend | None, num_classes: int) -> Legend:
  """Returns the legend, or one that names the categories by their numbers.

  Up to eight get colors that differ in hue and lightness; more are taken to be levels, from dark blue to yellow.

  Reference: Okabe and Ito (2008), Color universal design; Nuñez et al. (2018), on the color map cividis.
  """
  if legend is not None:
    return legend
  names = tuple(str(number) for number in range(num_classes))
  if num_classes <= len(_FEW):
    return Legend(names, _FEW[:num_classes])
  from matplotlib import colormaps
  from matplotlib.colors import to_hex

  levels = colormaps["cividis"](np.linspace(0.0, 1.0, num_classes))
  return Legend(names, tuple(to_hex(level) for level in levels))


def rgb(color: str) -> tuple[int, int, int]:
  """Returns the bytes of "#rrggbb": red, green and blue, each 0 to 255."""
  try:
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
  except ValueError as error:
    raise InputError(f'the color {color!r} of the legend is not of the form "#rrggbb"') from error
  return red, green, blue


def colored(x: Int[np.ndarray, "*maps height width"], legend: Legend) -> UInt8[np.ndarray, "*maps height width 3"]:
  """Returns the colors of maps. What is no category (masked: K, invalid: -1) is a light checkerboard."""
  num_classes = len(legend.colors)
  table = np.array([rgb(color) for color in (*legend.colors, *BLANK)], np.uint8)
  rows, columns = np.indices(x.shape[-2:])
  blank = np.broadcast_to(num_classes + (rows + columns) % 2, x.shape)
  return table[np.where(is_blank(x, legend), blank, x)]


def is_blank(x: Int[np.ndarray, "*places"], legend: Legend) -> Bool[np.ndarray, "*places"]:
  """Returns where maps have no category."""
  return (x < 0) | (x >= len(legend.colors))
