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
from catgen.interfaces import Batch, InputError, Split

NEIGHBORS = {"left": (0, -1), "above": (-1, 0), "above left": (-1, -1), "above right": (-1, 1)}  # the nearest first
MAX_ORDER = len(NEIGHBORS) + 1
_BLOCK = 2**20  # pixels counted at a time


class NeighborCounts(NamedTuple):
  """Fitted models of maps."""

  grams: ngrams.NGrams  # order m: a pixel given the first m - 1 of NEIGHBORS
  places: Float[np.ndarray, "height width classes"]  # probabilities at each place


def fit(split: Split, *, num_classes: int, max_maps: int) -> NeighborCounts:
  """Returns the models of every order, counted on the first `max_maps` maps, read in blocks.

  Raises:
    InputError: too many categories to pack, or there is nothing to count.
  """
  base = num_classes + 1
  ngrams.check_order(MAX_ORDER, base)
  grams, counts = np.zeros(0, np.uint64), np.zeros(0, np.int64)
  shape = split.examples(np.arange(1)).x.shape[1:]
  first_code = np.arange(math.prod(shape)).reshape(shape) * num_classes
  places = np.zeros(first_code.size * num_classes, np.int64)
  for maps in _blocks(split, max_maps):
    seen, times = np.unique(pack(maps, num_classes)[maps.valid], return_counts=True)
    grams, counts = _merged(np.concatenate([grams, seen]), np.concatenate([counts, times]))
    places += np.bincount((first_code[None] + maps.x)[maps.valid], minlength=places.size)
  if not grams.size:
    raise InputError("the training split has no valid position to count")
  types = [_merged(grams % np.uint64(base**m), counts) for m in range(1, MAX_ORDER + 1)]
  return NeighborCounts(
    ngrams.smoothed(types, num_classes=num_classes, base=base),
    _place_probabilities(places.reshape(*shape, num_classes)),
  )


def log_prob(model: NeighborCounts, maps: Batch, order: int) -> Float[np.ndarray, "maps height width"]:
  """Returns log p(pixel | the first order - 1 of NEIGHBORS) in nats, 0 where invalid; order 1: one marginal for all."""
  nats = np.zeros(maps.x.shape)
  grams = pack(maps, model.grams.num_classes)[maps.valid] % np.uint64(model.grams.base**order)
  nats[maps.valid] = np.log(ngrams.probability(model.grams, grams, order))
  return nats


def place_log_prob(model: NeighborCounts, maps: Batch) -> Float[np.ndarray, "maps height width"]:
  """Returns log p(pixel | its place) in nats; 0 where invalid."""
  chosen = np.take_along_axis(model.places[None], np.where(maps.valid, maps.x, 0)[..., None], axis=-1)[..., 0]
  return np.where(maps.valid, np.log(chosen), 0.0)


def estimate(nats: Float[np.ndarray, "maps height width"], maps: Batch) -> bounds.Estimate:
  """Returns the cross-entropy of held-out maps in bits per pixel, with its error over maps."""
  return bounds.estimate(nats.sum(axis=(1, 2))[None], maps.valid.sum(axis=(1, 2)), exact=True)


def pack(maps: Batch, num_classes: int) -> UInt64[np.ndarray, "maps height width"]:
  """Returns each pixel with its neighbors as one number in base K + 1, the pixel being the last digit."""
  _, height, width = maps.x.shape
  padded = np.pad(
    np.where(maps.valid, maps.x, num_classes).astype(np.uint64), ((0, 0), (1, 0), (1, 1)), constant_values=num_classes
  )
  packed = np.zeros(maps.x.shape, np.uint64)
  for down, right in [*reversed(NEIGHBORS.values()), (0, 0)]:
    neighbor = padded[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]
    packed = packed * np.uint64(num_classes + 1) + neighbor
  return packed


def _blocks(split: Split, max_maps: int) -> Iterator[Batch]:
  """Yields the first maps, some at a time."""
  count = min(max_maps, split.num_examples)
  step = max(1, _BLOCK // max(1, split.examples(np.arange(1)).x.size))
  for start in range(0, count, step):
    yield split.examples(np.arange(start, min(start + step, count)))


def _merged(
  grams: UInt64[np.ndarray, "seen"], counts: Int[np.ndarray, "seen"]
) -> tuple[UInt64[np.ndarray, "grams"], Int[np.ndarray, "grams"]]:
  """Returns each gram once, ascending, with the sum of its counts."""
  unique, which = np.unique(grams, return_inverse=True)
  return unique, np.bincount(which, weights=counts).astype(np.int64)


def _place_probabilities(places: np.ndarray) -> np.ndarray:
  overall = places.sum(axis=(0, 1)) + 1.0  # no category is impossible
  added = places + overall / overall.sum()
  return added / added.sum(axis=-1, keepdims=True)
