"""Counts as honest baselines of maps: a pixel given those to its left and above, or given its place.

Walking a map row by row, each pixel is predicted from its neighbors that came before, so the sum over pixels is the
exact log-probability of the map. The tables are those of `ngrams`: a gram is the neighbors, the farthest first, and
the pixel itself. Outside the map (or where a pixel does not count) a neighbor is one more symbol, K. Shorter orders
drop the farthest neighbor, and smoothing is that of `ngrams`: on CamVid's maps continuation counts were better than
plain ones here too. The second baseline knows the place instead: the frequencies of each pixel, with one observation
added that is spread as the categories are over all pixels.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt64

from catgen import bounds
from catgen.evaluation import ngrams
from catgen.interfaces import Batch, InputError
from catgen.sources import Split

NEIGHBORS = {"left": (0, -1), "above": (-1, 0), "above left": (-1, -1), "above right": (-1, 1)}  # the nearest first
MAX_ORDER = len(NEIGHBORS) + 1
_BLOCK = 2**20  # pixels counted at a time


class NeighborCounts(NamedTuple):
  """Fitted models of maps."""

  grams: ngrams.NGrams  # order m: a pixel given the first m - 1 of NEIGHBORS, up to the longest that fits
  places: "Places"


class Places(NamedTuple):
  """What was seen at each place of the maps: of the categories there only those that occur."""

  codes: UInt64[np.ndarray, "seen"]  # ascending: number of the place * K + category
  counts: Int[np.ndarray, "seen"]
  totals: Int[np.ndarray, "height width"]
  overall: Float[np.ndarray, "classes"]  # shares over all places, of which no category is impossible


def fit(split: Split, *, num_classes: int, max_maps: int) -> NeighborCounts:
  """Returns the models of every order, counted on the first `max_maps` maps, read in blocks.

  Raises:
    InputError: there is nothing to count.
  """
  order = longest_order(num_classes)
  grams = places = _Counted(np.zeros(0, np.uint64), np.zeros(0, np.int64))
  totals = np.zeros(split.examples(np.arange(1)).x.shape[1:], np.int64)
  for maps in _blocks(split, max_maps):
    grams = _added(grams, pack(maps, num_classes, order)[maps.valid])
    places = _added(places, _place_codes(maps, num_classes)[maps.valid])
    totals += maps.valid.sum(axis=0)
  if not grams.values.size:
    raise InputError("the training split has no valid position to count")
  base = num_classes + 1
  types = [_merged(grams.values % np.uint64(base**m), grams.counts) for m in range(1, order + 1)]
  categories = (places.values % np.uint64(num_classes)).astype(np.int64)
  overall = np.bincount(categories, places.counts, minlength=num_classes) + 1.0  # no category is impossible
  return NeighborCounts(
    ngrams.smoothed(types, num_classes=num_classes, base=base), Places(*places, totals, overall / overall.sum())
  )


def longest_order(num_classes: int) -> int:
  """Returns the number of neighbors that a pixel can be counted with, plus one."""
  return min(MAX_ORDER, ngrams.largest_order(num_classes + 1))


def neighbors(shape: tuple[int, ...], order: int) -> list[str]:
  """Returns those of the first order - 1 of NEIGHBORS that a pixel of maps of (height, width) can have."""
  height, width = shape
  nearest = list(NEIGHBORS.items())[: order - 1]
  return [name for name, (down, right) in nearest if -down < height and abs(right) < width]


def log_prob(model: NeighborCounts, maps: Batch, order: int) -> Float[np.ndarray, "maps height width"]:
  """Returns log p(pixel | the first order - 1 of NEIGHBORS) in nats, 0 where invalid; order 1: one marginal for all."""
  nats = np.zeros(maps.x.shape)
  grams = pack(maps, model.grams.num_classes, order)[maps.valid]
  nats[maps.valid] = np.log(ngrams.probability(model.grams, grams, order))
  return nats


def place_log_prob(model: NeighborCounts, maps: Batch) -> Float[np.ndarray, "maps height width"]:
  """Returns log p(pixel | its place) in nats, one observation spread as over all places added; 0 where invalid."""
  places, known = model.places, maps._replace(x=np.where(maps.valid, maps.x, 0))
  counts = ngrams.look_up(places.codes, places.counts, _place_codes(known, model.grams.num_classes))
  return np.where(maps.valid, np.log((counts + places.overall[known.x]) / (places.totals[None] + 1)), 0.0)


def estimate(nats: Float[np.ndarray, "maps height width"], maps: Batch) -> bounds.Estimate:
  """Returns the cross-entropy of held-out maps in bits per pixel, with its error over maps."""
  return bounds.estimate(nats.sum(axis=(1, 2))[None], maps.valid.sum(axis=(1, 2)), exact=True)


def pack(maps: Batch, num_classes: int, order: int = MAX_ORDER) -> UInt64[np.ndarray, "maps height width"]:
  """Returns each pixel with its first `order` - 1 neighbors as one number in base K + 1, the pixel the last digit."""
  _, height, width = maps.x.shape
  padded = np.pad(
    np.where(maps.valid, maps.x, num_classes).astype(np.uint64), ((0, 0), (1, 0), (1, 1)), constant_values=num_classes
  )
  packed = np.zeros(maps.x.shape, np.uint64)
  for down, right in [*reversed(list(NEIGHBORS.values())[: order - 1]), (0, 0)]:
    neighbor = padded[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]
    packed = packed * np.uint64(num_classes + 1) + neighbor
  return packed


def _blocks(split: Split, max_maps: int) -> Iterator[Batch]:
  """Yields the first maps, some at a time."""
  count = min(max_maps, split.num_examples)
  step = max(1, _BLOCK // max(1, split.examples(np.arange(1)).x.size))
  for start in range(0, count, step):
    yield split.examples(np.arange(start, min(start + step, count)))


class _Counted(NamedTuple):
  values: UInt64[np.ndarray, "seen"]  # ascending
  counts: Int[np.ndarray, "seen"]


def _added(counted: _Counted, values: UInt64[np.ndarray, "n"]) -> _Counted:
  seen, times = np.unique(values, return_counts=True)
  return _merged(np.concatenate([counted.values, seen]), np.concatenate([counted.counts, times]))


def _merged(values: UInt64[np.ndarray, "n"], counts: Int[np.ndarray, "n"]) -> _Counted:
  """Returns each value once, with the sum of its counts."""
  unique, which = np.unique(values, return_inverse=True)
  return _Counted(unique, np.bincount(which, weights=counts).astype(np.int64))


def _place_codes(maps: Batch, num_classes: int) -> UInt64[np.ndarray, "maps height width"]:
  shape = maps.x.shape[1:]
  places = np.arange(math.prod(shape), dtype=np.uint64).reshape(shape)
  return places[None] * np.uint64(num_classes) + maps.x.astype(np.uint64)
