"""What stands in a street: random plans of buildings, trees, cars, people and signs, for `geometry`.

Both sides follow the same rules, mirrored, so that a street and its mirror image are equally likely. Every function
takes its uniform numbers from `Draws` in a fixed order, for all streets of a batch at once; lengths are metres.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from catgen.data.sets.street_scenes.geometry import Camera, Ground, Solids, join

VOID, FLAT, CONSTRUCTION, OBJECT, NATURE, SKY, HUMAN, VEHICLE = range(8)
NUM_DRAWS = 714  # uniform numbers of a street
THINNEST = 1 / 32  # of a pole, in heights of the picture: one pixel of a map of 32 rows, however far away


class Draws:
  """A stream of independent uniform numbers for every street of a batch."""

  def __init__(self, uniforms: Float64[np.ndarray, "batch draws"]) -> None:
    self._uniforms, self._used = uniforms, 0

  def between(self, low: Any, high: Any, count: int = 1) -> Float64[np.ndarray, "batch count"]:
    """Returns numbers uniform on [low, high)."""
    start, self._used = self._used, self._used + count
    return low + (high - low) * self._uniforms[:, start : self._used]

  def skewed(self, low: Any, high: Any, count: int = 1) -> Float64[np.ndarray, "batch count"]:
    """Returns numbers on [low, high), more often near `low`: squares of uniform ones."""
    return low + (high - low) * self.between(0.0, 1.0, count) ** 2

  def chance(self, probability: Any, count: int = 1) -> Bool[np.ndarray, "batch count"]:
    """Returns events of the given probability."""
    return self.between(0.0, 1.0, count) < probability


class Side(NamedTuple):
  """One side of a street: where its strips end, outward from the middle of the road."""

  sign: int  # -1 left, 1 right
  middle: Float64[np.ndarray, "batch 1"]  # X of the middle of the road
  road: Float64[np.ndarray, "batch 1"]
  kerb: Float64[np.ndarray, "batch 1"]
  verge: Float64[np.ndarray, "batch 1"]  # a strip of grass, often of no width
  walk: Float64[np.ndarray, "batch 1"]
  line: Float64[np.ndarray, "batch 1"]  # buildings begin here
  density: Float64[np.ndarray, "batch 1"]  # of buildings, 0 to 1
  height: Float64[np.ndarray, "batch 1"]  # of a typical building


def plan_camera(draws: Draws) -> Camera:
  """Returns the cameras."""
  return Camera(
    horizon=draws.between(0.42, 0.54)[:, 0],
    vanishing=draws.between(-0.16, 0.16)[:, 0],
    focal=draws.between(1.4, 2.0)[:, 0],
    height=draws.between(1.2, 1.7)[:, 0],
  )


def plan_sides(draws: Draws) -> tuple[Side, Side]:
  """Returns both sides of every street; they share its width and, to a degree, its character."""
  middle = draws.between(-2.2, 2.2)
  road = draws.between(3.3, 5.8)
  urban = draws.between(0.0, 1.0)
  height = draws.between(7.0, 12.0) + 10.0 * urban
  left, right = (_plan_side(draws, sign, middle, road, urban, height) for sign in (-1, 1))
  return left, right


def _plan_side(draws: Draws, sign: int, middle: Any, road: Any, urban: Any, height: Any) -> Side:
  kerb = road + 0.22
  verge = kerb + draws.between(0.8, 2.0) * draws.chance(0.45 - 0.35 * urban)
  walk = verge + draws.between(1.6, 3.6)
  line = walk + draws.between(0.8, 7.0) * draws.chance(0.75 - 0.65 * urban)
  density = np.where(draws.chance(0.12 + 0.25 * (1.0 - urban)), 0.2, 0.7 + 0.28 * urban)
  return Side(sign, middle, road, kerb, verge, walk, line, density, height)


def plan_ground(left: Side, right: Side) -> Ground:
  """Returns the strips of the ground, from left to right: garden or pavement, sidewalk, verge, road, and back again."""
  distances = ("walk", "verge", "kerb")
  edges = [left.middle - getattr(left, name) for name in distances]
  edges += [right.middle + getattr(right, name) for name in reversed(distances)]
  outer = [np.where(side.line > side.walk, NATURE, FLAT) for side in (left, right)]
  inner = [np.full_like(outer[0], category) for category in (FLAT, NATURE, FLAT, NATURE, FLAT)]
  return Ground(np.concatenate(edges, 1), np.concatenate([outer[0], *inner, outer[1]], 1).astype(np.uint8))


def plan_surroundings(draws: Draws, left: Side, right: Side) -> Solids:
  """Returns the kerbs and what lies beyond the lines of buildings: houses, walls, trees, the end of the street."""
  kerbs = [beside(side, (side.road, side.kerb), (1.0, 80.0), (0.0, 0.18), VOID) for side in (left, right)]
  return join(_plan_end(draws), *(_plan_row(draws, side) for side in (left, right)), *kerbs)


def _plan_end(draws: Draws) -> Solids:
  """Returns what closes the view: far houses or trees, some of them across the street."""
  count = 6
  middle = 28.0 * (np.arange(count) - 2.5)[None] + draws.between(-9.0, 9.0, count)
  width, near = draws.between(10.0, 22.0, count), draws.between(90.0, 150.0, count)
  high = draws.skewed(4.0, 18.0, count)
  nature = draws.chance(0.5, count)
  return make(middle - width, middle + width, (near, near + 10.0), (0.0, high), np.where(nature, NATURE, CONSTRUCTION))


def _plan_row(draws: Draws, side: Side) -> Solids:
  """Returns a row of lots, from the camera to the distance: a house, or a gap with trees, a wall or nothing."""
  count = 8
  size, gap = draws.between(8.0, 20.0, count), draws.between(3.0, 9.0, count) * draws.chance(0.35, count)
  far = np.cumsum(size + gap, axis=1) + draws.between(-4.0, 6.0)
  near = np.maximum(0.3, far - size)
  built = draws.chance(side.density, count)
  back = draws.skewed(0.0, 3.0, count)
  high = side.height * draws.between(0.65, 1.35, count)
  houses = beside(side, (side.line + back, side.line + 30.0), (near, far), (0.0, high), CONSTRUCTION, present=built)
  walled = ~built & draws.chance(0.4, count)
  low = draws.between(1.2, 2.4, count)
  walls = beside(side, (side.line, side.line + 0.4), (near, far), (0.0, low), CONSTRUCTION, present=walled)
  return join(houses, walls, *(_plan_gap(draws, side, near, far, built) for _ in range(2)))


def _plan_gap(draws: Draws, side: Side, near: Any, far: Any, built: Any) -> Solids:
  """Returns a large tree or bush for most of the lots without a house."""
  count = built.shape[1]
  z = near + (far - near) * draws.between(0.0, 1.0, count)
  radius = draws.between(2.2, 4.5, count)
  place = side.line + draws.between(2.5, 9.0, count)
  elevation = (draws.between(-0.8, 0.6, count), draws.between(5.0, 12.0, count))
  present = ~built & draws.chance(0.75, count)
  return beside(side, (place - radius, place + radius), (z, z), elevation, NATURE, rounded=True, present=present)


def plan_street(draws: Draws, camera: Camera, left: Side, right: Side) -> Solids:
  """Returns what stands between the lines of buildings."""
  groups = [_plan_hood(draws, camera)]
  for side in (left, right):
    groups += [_plan_trees(draws, side), _plan_garden(draws, side), _plan_poles(draws, camera, side)]
    groups += [
      _plan_bins(draws, side),
      _plan_people(draws, side),
      _plan_parked(draws, side),
      _plan_traffic(draws, side),
    ]
  return join(*groups)


def _plan_hood(draws: Draws, camera: Camera) -> Solids:
  """Returns the hood of the car that carries the camera, where it is seen: void, as in real data sets."""
  scale = 1.0 / camera.focal[:, None]  # of the picture's height, one metre ahead
  top = 1.0 - draws.between(0.05, 0.13)
  high = camera.height[:, None] - (top - camera.horizon[:, None]) * scale
  place, half = draws.between(-0.1, 0.1) * scale, draws.between(0.95, 1.35) * scale
  return make(
    place - half, place + half, (1.0, 1.0), (high - 0.5 * scale, high), VOID, rounded=True, present=draws.chance(0.35)
  )


def _plan_trees(draws: Draws, side: Side) -> Solids:
  """Returns a row of street trees, a few metres apart."""
  count = 5
  z = draws.between(5.0, 13.0) + draws.between(7.0, 14.0) * np.arange(count)[None] + draws.between(-1.0, 1.0, count)
  place = np.where(side.verge > side.kerb, (side.verge + side.kerb) / 2, side.kerb + 0.7)
  present = draws.chance(0.45) & draws.chance(0.75, count)
  radius = draws.between(1.0, 1.9) * draws.between(0.8, 1.25, count)
  low = draws.between(1.9, 3.0, count)
  high = low + radius * draws.between(2.0, 3.2, count)
  crown = beside(side, (place - radius, place + radius), (z, z), (low, high), NATURE, rounded=True, present=present)
  trunk = beside(side, (place - 0.2, place + 0.2), (z + 0.1, z + 0.5), (0.0, low + 0.8), NATURE, present=present)
  return join(crown, trunk)


def _plan_garden(draws: Draws, side: Side) -> Solids:
  """Returns bushes and small trees between sidewalk and houses, where there is room."""
  count = 5
  z = draws.skewed(4.0, 45.0, count)
  radius, out = draws.between(0.6, 1.6, count), draws.between(0.0, 1.0, count)
  place = side.walk + 0.3 + out * (side.line - side.walk)
  present = (side.line > side.walk) & draws.chance(0.7, count)
  high = draws.skewed(0.8, 4.5, count)
  return beside(side, (place - radius, place + radius), (z, z), (-0.3, high), NATURE, rounded=True, present=present)


def _plan_poles(draws: Draws, camera: Camera, side: Side) -> Solids:
  """Returns lamps with an arm over the road, traffic lights, and signs, along the kerb."""
  count = 4
  z = draws.skewed(6.0, 55.0, count)
  present = draws.chance(0.55, count)
  kind = draws.between(0.0, 1.0, count)
  lamp, light = kind < 0.35, kind > 0.7
  high = np.where(lamp, draws.between(5.5, 8.5, count), draws.between(2.4, 3.6, count))
  sign = draws.between(0.35, 0.6, count)
  place, thin = side.kerb + 0.4, np.maximum(0.08, z * THINNEST / (2 * camera.focal[:, None]))
  pole = beside(side, (place - thin, place + thin), (z, z + 0.2), (0.0, high), OBJECT, present=present)
  half = np.maximum(thin, np.where(light, 0.25, np.where(lamp, 0.0, sign)))
  start, stop = place - np.where(lamp, 1.6, half), place + half
  tall = np.maximum(2 * thin, np.where(light, 1.1, np.where(lamp, 0.25, 0.8)))
  head = beside(side, (start, stop), (z - 0.1, z), (high - tall, high), OBJECT, present=present)
  return join(pole, head)


def _plan_bins(draws: Draws, side: Side) -> Solids:
  """Returns things on the sidewalk that are nothing else: void."""
  count = 2
  z = draws.skewed(5.0, 30.0, count)
  place = side.verge + draws.between(0.2, 1.0, count) * (side.walk - side.verge)
  high, present = draws.between(0.8, 1.3, count), draws.chance(0.12, count)
  return beside(side, (place - 0.35, place + 0.35), (z, z + 0.6), (0.0, high), VOID, present=present)


def _plan_people(draws: Draws, side: Side) -> Solids:
  """Returns people on the sidewalk."""
  count = 5
  z = draws.skewed(6.0, 40.0, count)
  place = side.verge + 0.3 + draws.between(0.0, 1.0, count) * (side.walk - side.verge - 0.4)
  present = draws.chance(0.7) & draws.chance(0.6, count)
  high = draws.between(1.5, 1.9, count)
  return person(side, place, z, 0.0, high, present)


def person(side: Side, place: Any, z: Any, low: Any, high: Any, present: Any) -> Solids:
  """Returns bodies with heads."""
  body = beside(side, (place - 0.26, place + 0.26), (z, z + 0.3), (low, high - 0.3), HUMAN, present=present)
  head = beside(side, (place - 0.17, place + 0.17), (z, z), (high - 0.4, high), HUMAN, rounded=True, present=present)
  return join(body, head)


def _plan_parked(draws: Draws, side: Side) -> Solids:
  """Returns cars along the kerb, and a cyclist beside them."""
  count = 5
  z = draws.between(6.0, 13.0) + draws.between(5.6, 7.5) * np.arange(count)[None]
  place = side.road - draws.between(1.0, 1.2)
  parking = np.where(draws.chance(0.5), draws.between(0.4, 1.0), 0.0)
  cars = vehicle(draws, side, place, z, draws.chance(parking, count))
  z, place = draws.skewed(7.0, 35.0), side.road - draws.between(2.4, 2.9)
  riding = draws.chance(0.12)
  bicycle = beside(side, (place - 0.25, place + 0.25), (z, z + 1.6), (0.0, 1.0), VEHICLE, present=riding)
  return join(cars, bicycle, person(side, place, z + 0.5, 0.7, 1.75, riding))


def _plan_traffic(draws: Draws, side: Side) -> Solids:
  """Returns cars in the lane of this side."""
  count = 2
  z = draws.between(8.0, 25.0) + draws.between(9.0, 30.0, count) * np.arange(count)[None]
  place = np.maximum(1.3, side.road / 2 - 0.4) + draws.between(-0.3, 0.3, count)
  return vehicle(draws, side, place, z, draws.chance(0.33, count))


def vehicle(draws: Draws, side: Side, place: Any, z: Any, present: Any) -> Solids:
  """Returns cars, and now and then a van, bus or lorry: a body, and a cabin that is smaller."""
  count = present.shape[1]
  large = draws.chance(0.08, count)
  half = np.where(large, 1.15, draws.between(0.84, 0.94, count))
  length = np.where(large, draws.between(5.5, 11.0, count), draws.between(3.8, 4.8, count))
  high = np.where(large, draws.between(2.3, 3.3, count), draws.between(1.4, 1.75, count))
  middle = np.where(large, high, 0.9)
  body = beside(side, (place - half, place + half), (z, z + length), (0.12, middle), VEHICLE, present=present)
  half, depth = half - 0.2, (z + 0.2 * length, z + 0.8 * length)
  cabin = beside(side, (place - half, place + half), depth, (0.8, high), VEHICLE, present=present)
  return join(body, cabin)


def beside(side: Side, outward: tuple, depth: tuple, elevation: tuple, category: Any, **flags: Any) -> Solids:
  """Returns solids between two distances outward from the middle of the road."""
  one, other = (side.middle + side.sign * distance for distance in outward)
  return make(np.minimum(one, other), np.maximum(one, other), depth, elevation, category, **flags)


def make(
  left: Any, right: Any, depth: tuple, elevation: tuple, category: Any, *, rounded: bool = False, present: Any = True
) -> Solids:
  """Returns solids whose numbers are [batch, solids] after broadcasting; an ellipse is at one depth: (z, z)."""
  fields = np.broadcast_arrays(left, right, *depth, *elevation, category, rounded, present)
  kinds = (*[np.float64] * 6, np.uint8, bool, bool)
  return Solids(*(np.asarray(field, kind) for field, kind in zip(fields, kinds, strict=True)))
