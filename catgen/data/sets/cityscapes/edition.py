"""What a whole copy of Cityscapes holds."""

from collections.abc import Mapping
from typing import NamedTuple

LICENSE_PLATE = 255  # label id -1 in 8 bits


class Edition(NamedTuple):
  """What a whole copy holds."""

  cities: Mapping[str, Mapping[str, int]]  # official split -> city -> number of label maps
  num_validation: int  # of the official training maps, the last in order are held out for validation


OFFICIAL = Edition(
  cities={
    "train": {
      "aachen": 174,
      "bochum": 96,
      "bremen": 316,
      "cologne": 154,
      "darmstadt": 85,
      "dusseldorf": 221,
      "erfurt": 109,
      "hamburg": 248,
      "hanover": 196,
      "jena": 119,
      "krefeld": 99,
      "monchengladbach": 94,
      "strasbourg": 365,
      "stuttgart": 196,
      "tubingen": 144,
      "ulm": 95,
      "weimar": 142,
      "zurich": 122,
    },
    "val": {"frankfurt": 267, "lindau": 59, "munster": 174},
  },
  num_validation=475,
)
