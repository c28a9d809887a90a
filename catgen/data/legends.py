"""Names and colors of categories: those of Cityscapes, and defaults for any."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from catgen.interfaces import InputError
from catgen.sources import Legend


class Label(NamedTuple):
  """A class of Cityscapes."""

  name: str
  category: int  # the index in CATEGORIES
  color: str


CATEGORIES = Legend(
  names=("void", "flat", "construction", "object", "nature", "sky", "human", "vehicle"),
  colors=("#000000", "#804080", "#464646", "#dcdc00", "#6b8e23", "#4682b4", "#dc143c", "#00008e"),
)
LABELS = (  # in the order of the label ids, from 0
  Label("unlabeled", 0, "#000000"),
  Label("ego vehicle", 0, "#000000"),
  Label("rectification border", 0, "#000000"),
  Label("out of roi", 0, "#000000"),
  Label("static", 0, "#000000"),
  Label("dynamic", 0, "#6f4a00"),
  Label("ground", 0, "#510051"),
  Label("road", 1, "#804080"),
  Label("sidewalk", 1, "#f423e8"),
  Label("parking", 1, "#faaaa0"),
  Label("rail track", 1, "#e6968c"),
  Label("building", 2, "#464646"),
  Label("wall", 2, "#66669c"),
  Label("fence", 2, "#be9999"),
  Label("guard rail", 2, "#b4a5b4"),
  Label("bridge", 2, "#966464"),
  Label("tunnel", 2, "#96785a"),
  Label("pole", 3, "#999999"),
  Label("polegroup", 3, "#999999"),
  Label("traffic light", 3, "#faaa1e"),
  Label("traffic sign", 3, "#dcdc00"),
  Label("vegetation", 4, "#6b8e23"),
  Label("terrain", 4, "#98fb98"),
  Label("sky", 5, "#4682b4"),
  Label("person", 6, "#dc143c"),
  Label("rider", 6, "#ff0000"),
  Label("car", 7, "#00008e"),
  Label("truck", 7, "#000046"),
  Label("bus", 7, "#003c64"),
  Label("caravan", 7, "#00005a"),
  Label("trailer", 7, "#00006e"),
  Label("train", 7, "#005064"),
  Label("motorcycle", 7, "#0000e6"),
  Label("bicycle", 7, "#770b20"),
)
CLASSES = Legend(tuple(label.name for label in LABELS), tuple(label.color for label in LABELS))
_KNOWN = dict(zip(CLASSES.names, CLASSES.colors, strict=True)) | dict(zip(*CATEGORIES, strict=True))


def make_legend(num_classes: int, names: Sequence[str] = (), colors: Sequence[str] = ()) -> Legend:
  """Returns the legend of `num_classes` categories; where names or colors are empty, defaults.

  A category without a name is called by its number. One without a color has that of the class or category of
  Cityscapes of its name, or else one of a list without repetitions (`distinct_color`).

  Reference: Cordts et al. (2016), The Cityscapes dataset for semantic urban scene understanding.
  """
  for title, given in (("names", names), ("colors", colors)):
    if given and len(given) != num_classes:
      raise InputError(f"{title} has {len(given)} entries for {num_classes} categories; give one for each, or none")
  broken = [name for name in names if name.splitlines() not in ([name], [])]
  if broken:
    raise InputError(f"the name {broken[0]!r} has a line break, which no legend has room for; remove it")
  wrong = [color for color in colors if not re.fullmatch("#[0-9a-fA-F]{6}", color)]
  if wrong:
    raise InputError(f"color {wrong[0]!r} is not of the form #rrggbb; correct colors")
  names = tuple(name or str(i) for i, name in enumerate(names or ("",) * num_classes))
  twice = next((name for name, number in Counter(names).items() if number > 1), None)
  if twice is not None:
    places = " and ".join(str(i) for i, name in enumerate(names) if name == twice)
    raise InputError(f"categories {places} have the name {twice!r}; name each apart, or make them one by data.mapping")
  defaults = tuple(_KNOWN.get(name, distinct_color(i)) for i, name in enumerate(names))
  return Legend(names, tuple(colors) or defaults)


def distinct_color(number: int) -> str:
  """Returns the color of a category in the palette of PASCAL VOC: black, and far apart for small numbers.

  The bits of the number, from the lowest, are dealt to red, green and blue in turn, from their highest.
  """
  channels = [sum((number >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8)) for channel in range(3)]
  return "#" + bytes(channels).hex()
