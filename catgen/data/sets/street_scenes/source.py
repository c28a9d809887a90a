"""The embedded default data set of maps: streets as a camera in a car sees them, drawn from random numbers.

It stands in for Cityscapes, which needs a license: the same 8 categories, about the same shares of pixels, any
resolution, nothing to download. Perspective, occlusion and what stands where are those of streets; the kerb, the hood
of the camera's car and some things on the sidewalk are "void". Numbers on it compare with those of no other data.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt8

from catgen.data.augment import augmented
from catgen.data.legends import CATEGORIES
from catgen.data.pipeline import STREETS
from catgen.data.procedural import Labelled, map_source, uniforms, unmoved
from catgen.data.sets.street_scenes import plan
from catgen.data.sets.street_scenes.geometry import paint, paint_ground
from catgen.interfaces import InputError
from catgen.kinds import nearest
from catgen.sources import Attribute, DataSource

SMALLEST = 16  # pixels of a side


def street_scenes(
  shape: Sequence[int] = (32, 64),
  splits: Sequence[float | int] = (20_000, 500, 500),
  seed: int = 0,
  flip: bool = False,
  shift: Sequence[int] = (0, 0),
  labels: str | None = None,
) -> DataSource:
  """Returns streets, each made when it is read, in about half a millisecond at 32 x 64.

  Args:
    shape: (height, width) in pixels, each at least 16. A street is the same at every height, seen more finely; a wider
      map shows more of its sides.
    splits: how many maps train, validation and test have.
    seed: at least 0; another seed gives other streets.
    flip, shift: augmentation of the training split, see `augmented`. A street and its mirror image are equally likely
      as it is.
    labels: a category, such as "human": each map is given whether it is seen in it, "no" or "yes". None: nothing.
  """
  if len(shape) != 2 or any(size != int(size) or size < SMALLEST for size in shape):
    raise InputError(f"shape {tuple(shape)} must be (height, width), whole numbers of at least {SMALLEST} pixels")
  height, width = map(int, shape)

  def render(numbers: Int[np.ndarray, "n"]) -> UInt8[np.ndarray, "n height width"]:
    return streets(seed, numbers, height, width)

  source = map_source(
    render,
    shape=(height, width),
    splits=splits,
    legend=CATEGORIES,
    description=f"street scenes of {height} x {width} from seed {seed}",
    labelled=None if labels is None else unmoved(_by_presence(labels), shift),
  )
  return augmented(source, flip=flip, shift=shift)


def _by_presence(name: str) -> Labelled:
  """Returns the label of maps by whether a category is seen in them."""
  if name not in CATEGORIES.names:
    raise InputError(
      f"labels is {name!r}, which is no category of street scenes; {nearest(name, dict.fromkeys(CATEGORIES.names))}"
    )
  category = CATEGORIES.names.index(name)
  return Labelled(Attribute(name, ("no", "yes")), lambda maps: (maps == category).any(axis=(1, 2)))


def streets(seed: int, numbers: Int[np.ndarray, "n"], height: int, width: int) -> UInt8[np.ndarray, "n height width"]:
  """Returns the streets of the given numbers; each depends on (seed, number) and the size alone."""
  draws = plan.Draws(uniforms(STREETS, seed, numbers, plan.NUM_DRAWS))
  camera = plan.plan_camera(draws)
  left, right = plan.plan_sides(draws)
  maps = np.full((len(numbers), height, width), plan.SKY, np.uint8)
  paint_ground(maps, plan.plan_ground(left, right), camera)
  paint(maps, plan.plan_surroundings(draws, left, right), camera)
  paint(maps, plan.plan_street(draws, camera, left, right), camera)
  return maps
