"""The network 'asia' of Lauritzen & Spiegelhalter (1988), eight columns of yes and no, with its tables written out.

One column, either, is a function of two others, so that half of the 256 rows cannot be.
"""

import itertools

import numpy as np

from catgen.data.tabular.codec import Table, table_codec
from catgen.data.tabular.columns import Column
from catgen.interfaces import EventSpec

NAMES = ("asia", "tub", "smoke", "lung", "bronc", "either", "xray", "dysp")
EVENT = EventSpec((8,), 2, sizes=(2,) * 8)
EVENTS = np.array(list(itertools.product(range(2), repeat=8)), np.int32)
CODEC = table_codec(Table(tuple(Column(name, "categorical", ("no", "yes")) for name in NAMES), frozenset()))
_ASIA, _SMOKE = 0.01, 0.5
_TUB = np.array([0.01, 0.05])  # given asia
_LUNG = np.array([0.01, 0.1])  # given smoke
_BRONC = np.array([0.3, 0.6])  # given smoke
_XRAY = np.array([0.05, 0.98])  # given either
_DYSP = np.array([[0.1, 0.8], [0.7, 0.9]])  # given either, bronc


def _of(yes: np.ndarray | float, value: np.ndarray) -> np.ndarray:
  return np.where(value == 1, yes, 1 - np.asarray(yes))


def _joint(asia, tub, smoke, lung, bronc, either, xray, dysp) -> np.ndarray:
  causes = _of(_ASIA, asia) * _of(_TUB[asia], tub) * _of(_SMOKE, smoke) * _of(_LUNG[smoke], lung)
  seen = _of(_XRAY[either], xray) * _of(_DYSP[either, bronc], dysp)
  return causes * _of(_BRONC[smoke], bronc) * (either == (tub | lung)) * seen


P = _joint(*EVENTS.T)  # in float64


def conditional(observed: dict[str, int]) -> np.ndarray:
  """Returns p(row | some columns), of all rows."""
  joint = P * np.all([EVENTS[:, NAMES.index(name)] == value for name, value in observed.items()], axis=0)
  return joint / joint.sum()


def yes(p: np.ndarray, name: str) -> float:
  """Returns the probability that a column is yes."""
  return float(p @ EVENTS[:, NAMES.index(name)])
