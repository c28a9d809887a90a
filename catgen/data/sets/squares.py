"""A toy data set of maps: squares of random categories, places and sides over one another on a background."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt8

from catgen.data.augment import augmented
from catgen.data.legends import make_legend
from catgen.data.pipeline import SQUARES
from catgen.data.procedural import Labelled, map_source, uniforms, unmoved
from catgen.interfaces import InputError
from catgen.sources import Attribute, DataSource


def squares(
  shape: Sequence[int] = (16, 16),
  num_classes: int = 4,
  num_squares: int = 3,
  splits: Sequence[float | int] = (10_000, 500, 500),
  seed: int = 0,
  flip: bool = False,
  shift: Sequence[int] = (0, 0),
  labels: bool = False,
) -> DataSource:
  """Returns maps of 1 to `num_squares` squares, a later one over those before it, each made when it is read.

  The number of squares is uniform. Of each square the category is uniform on 1 to num_classes - 1, the side uniform on
  whole numbers from a quarter to half of the shorter side of the map, the place uniform among those inside the map.
  Category 0 is the background.

  Args:
    shape: (height, width) in pixels, each at least 4.
    num_classes: K, at least 2.
    num_squares: the most squares of a map, at least 1.
    splits: how many maps train, validation and test have.
    seed: at least 0; another seed gives other maps.
    flip, shift: augmentation of the training split, see `augmented`.
    labels: whether each map is given its `number`: how many categories of squares are seen in it.
  """
  if len(shape) != 2 or any(size != int(size) or size < 4 for size in shape):
    raise InputError(f"shape {tuple(shape)} must be (height, width), whole numbers of at least 4 pixels")
  if not 2 <= num_classes <= 256 or num_squares < 1:
    raise InputError(
      f"num_classes is {num_classes} and num_squares {num_squares}; they must be 2 to 256, and at least 1"
    )
  height, width = map(int, shape)

  def render(numbers: Int[np.ndarray, "n"]) -> UInt8[np.ndarray, "n height width"]:
    return _render(uniforms(SQUARES, seed, numbers, 1 + 4 * num_squares), height, width, num_classes)

  source = map_source(
    render,
    shape=(height, width),
    splits=splits,
    legend=make_legend(num_classes, ("background", *(f"square {i}" for i in range(1, num_classes)))),
    description=f"1 to {num_squares} squares in {height} x {width} from seed {seed}",
    labelled=unmoved(_by_number(min(num_squares, num_classes - 1)), shift) if labels else None,
  )
  return augmented(source, flip=flip, shift=shift)


def _by_number(most: int) -> Labelled:
  """Returns the label of maps by how many categories are seen in them beside the background, 1 to `most`."""

  def numbers(maps: UInt8[np.ndarray, "n height width"]) -> Int[np.ndarray, "n"]:
    squares_seen = np.array([np.count_nonzero(np.unique(each)) for each in maps], int)
    return squares_seen - 1

  return Labelled(Attribute("number", tuple(map(str, range(1, most + 1)))), numbers)


def _render(draws: np.ndarray, height: int, width: int, num_classes: int) -> UInt8[np.ndarray, "n height width"]:
  """Returns maps of uniform numbers: how many squares, then category, side and place of each."""
  maps = np.zeros((len(draws), height, width), np.uint8)
  each = draws[:, 1:].reshape(len(draws), -1, 4)
  counts = 1 + np.floor(draws[:, 0] * each.shape[1])
  smallest, largest = min(height, width) // 4, min(height, width) // 2
  category = 1 + np.floor(each[..., 0] * (num_classes - 1))
  side = smallest + np.floor(each[..., 1] * (largest - smallest + 1))
  top, left = np.floor(each[..., 2] * (height - side + 1)), np.floor(each[..., 3] * (width - side + 1))
  rows, columns = np.arange(height)[None, :, None], np.arange(width)[None, None, :]
  for i in range(each.shape[1]):
    up, begin, size = (field[:, i, None, None] for field in (top, left, side))
    inside = (rows >= up) & (rows < up + size) & (columns >= begin) & (columns < begin + size)
    inside &= (i < counts)[:, None, None]
    np.copyto(maps, category[:, i, None, None].astype(np.uint8), where=inside)
  return maps
