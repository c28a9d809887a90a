"""From solids in front of a pinhole camera to label maps: what a street looks like, by ray and column.

Lengths of the world are in metres: X to the right of the camera, Z ahead of it, elevations above the ground. Lengths
of the picture are in units of its height, rows downward. A point (X, elevation e, Z) is seen at

  column = vanishing column + f X / Z,    row = horizon + f (camera height - e) / Z

so the column of a pixel fixes X / Z, and every solid fills one interval of rows in a column: pictures are painted
column by column, and a pixel takes the category at its center. Only + - * / and the square root are used, which IEEE
754 rounds exactly: a map is the same on every machine.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int16, UInt8


class Camera(NamedTuple):
  """How each picture of a batch is seen."""

  horizon: Float64[np.ndarray, "batch"]  # row, 0 (top) to 1
  vanishing: Float64[np.ndarray, "batch"]  # column, from the middle of the picture
  focal: Float64[np.ndarray, "batch"]  # in heights of the picture
  height: Float64[np.ndarray, "batch"]  # of the camera above the ground, metres


class Solids(NamedTuple):
  """Boxes and ellipses, some per picture; an ellipse is inscribed in the near face of its box."""

  left: Float64[np.ndarray, "batch solids"]
  right: Float64[np.ndarray, "batch solids"]
  near: Float64[np.ndarray, "batch solids"]
  far: Float64[np.ndarray, "batch solids"]
  low: Float64[np.ndarray, "batch solids"]
  high: Float64[np.ndarray, "batch solids"]
  category: UInt8[np.ndarray, "batch solids"]
  rounded: Bool[np.ndarray, "batch solids"]  # True: the ellipse
  present: Bool[np.ndarray, "batch solids"]


class Ground(NamedTuple):
  """The ground, in strips along the street: strip i lies between edges i - 1 and i, the first and last are open."""

  edges: Float64[np.ndarray, "batch edges"]  # X, ascending
  categories: UInt8[np.ndarray, "batch strips"]  # one more than edges


def join(*groups: Solids) -> Solids:
  """Returns the solids of all groups."""
  return Solids(*(np.concatenate(fields, axis=1) for fields in zip(*groups, strict=True)))


def slopes(camera: Camera, height: int, width: int) -> Float64[np.ndarray, "batch width"]:
  """Returns X / Z of the rays through the centers of every column."""
  columns = (np.arange(width) + 0.5 - width / 2) / height
  slope = (columns[None] - camera.vanishing[:, None]) / camera.focal[:, None]
  return np.where(np.abs(slope) < 1e-9, 1e-9, slope)


def paint_ground(maps: UInt8[np.ndarray, "batch height width"], ground: Ground, camera: Camera) -> None:
  """Fills the pixels below the horizon."""
  _, height, width = maps.shape
  below = (np.arange(height) + 0.5)[None] / height - camera.horizon[:, None]
  depth = camera.focal[:, None] * camera.height[:, None] / np.where(below > 0, below, 1.0)
  x = slopes(camera, height, width)[:, None, :] * depth[:, :, None]
  strip = np.zeros(maps.shape, np.uint8)
  for edge in ground.edges.T:
    strip += x >= edge[:, None, None]
  # strips count from the left, so that one look-up in the joined lists of categories serves the whole batch
  start = np.arange(len(maps)) * ground.categories.shape[1]
  found = ground.categories.reshape(-1)[strip + start[:, None, None]]
  np.copyto(maps, found, where=(below > 0)[:, :, None])


def paint(maps: UInt8[np.ndarray, "batch height width"], solids: Solids, camera: Camera) -> None:
  """Paints solids over the maps, the farthest near face first."""
  _, height, width = maps.shape
  distance = np.where(solids.present, -solids.near, np.inf)  # the absent come last and are cut off
  order = np.argsort(distance, axis=1, kind="stable")[:, : solids.present.sum(axis=1).max()]
  solids = Solids(*(np.take_along_axis(field, order, axis=1) for field in solids))
  top, bottom = _rows(solids, camera, slopes(camera, height, width), height)
  rows = np.arange(height, dtype=np.int16)[:, None]
  shown = top < bottom
  pictures, numbers = np.nonzero(shown.any(axis=2))
  shown, top, bottom = (field[pictures, numbers] for field in (shown, top, bottom))
  first, last = shown.argmax(axis=1), width - shown[:, ::-1].argmax(axis=1)
  upper, lower = top.min(axis=1, where=shown, initial=height), bottom.max(axis=1, where=shown, initial=0)
  boxes = np.stack([pictures, upper, lower, first, last, solids.category[pictures, numbers]], axis=1)
  for i, (picture, up, down, begin, end, category) in enumerate(boxes.tolist()):
    inside = (rows[up:down] >= top[i, begin:end]) & (rows[up:down] < bottom[i, begin:end])
    maps[picture, up:down, begin:end][inside] = category


def _rows(
  solids: Solids, camera: Camera, slope: Float64[np.ndarray, "batch width"], height: int
) -> tuple[Int16[np.ndarray, "batch solids width"], Int16[np.ndarray, "batch solids width"]]:
  """Returns which rows, start and stop, every solid fills in every column; start = stop = 0 where none."""
  inverse = (1.0 / slope)[:, None, :]
  one, other = solids.left[:, :, None] * inverse, solids.right[:, :, None] * inverse
  enter = np.maximum(np.minimum(one, other), solids.near[:, :, None])
  leave = np.minimum(np.maximum(one, other), solids.far[:, :, None])
  hit = (enter <= leave) & solids.present[:, :, None]
  enter, leave = enter[hit], leave[hit]
  pictures, numbers, columns = np.nonzero(hit)
  left, right, near, _, low, high = (field[pictures, numbers] for field in solids[:6])
  middle, reach = (left + right) / 2, (right - left) / 2
  # an ellipse has this share of its height here
  share = np.sqrt(np.maximum(0.0, 1.0 - ((slope[pictures, columns] * near - middle) / reach) ** 2))
  center, half = (low + high) / 2, (high - low) / 2 * np.where(solids.rounded[pictures, numbers], share, 1.0)
  horizon, _, focal, eye = (field[pictures] for field in camera)
  found = []
  # the silhouette of a box ends where the ray enters it, but where it leaves for a top seen from above
  for elevation, side in ((center + half, center + half >= eye), (center - half, center - half < eye)):
    row = horizon + focal * (eye - elevation) / np.where(side, enter, leave)
    rows = np.zeros(hit.shape, np.int16)
    rows[hit] = np.clip(np.ceil(row * height - 0.5), 0, height)
    found.append(rows)
  return found[0], found[1]
