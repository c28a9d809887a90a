"""The quantized ring of eight Gaussians: two coordinates of 91 values each, whose probabilities are known exactly.

The toy on which discrete flows were shown (Tran et al., 2019, arXiv:1905.10347): normals of standard deviation 0.1 at
radius 2 and every multiple of 45 degrees, all equally likely; coordinates are clipped to [-2.25, 2.25] and rounded to
multiples of 1/20. Its entropy is 6.31996 nats, of which no model needs less; with the coordinates taken as independent
7.3522 are needed.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int, UInt8

from catgen.bounds import bits_per_position
from catgen.data.pipeline import RING
from catgen.data.procedural import uniforms, value_source
from catgen.interfaces import EventSpec
from catgen.sources import DataSource

NUM_COMPONENTS, RADIUS, DEVIATION = 8, 2.0, 0.1
HALF, PER_UNIT = 45, 20  # categories on either side of the middle one; of one unit of a coordinate
NUM_CLASSES = 2 * HALF + 1


def ring(splits: Sequence[float | int] = (1_000_000, 10_000, 100_000), seed: int = 0) -> DataSource:
  """Returns points of the ring, [2] coordinates, category k standing for (k - 45) / 20, each made when it is read.

  Args:
    splits: how many points train, validation and test have.
    seed: at least 0; another seed gives other points.
  """
  cumulative = np.cumsum(_coordinates(), axis=-1)

  def compute(numbers: Int[np.ndarray, "n"]) -> UInt8[np.ndarray, "n 2"]:
    draws = uniforms(RING, seed, numbers, 3)
    component = np.floor(draws[:, 0] * NUM_COMPONENTS).astype(np.int64)
    below = draws[:, None, 1:] >= cumulative[:, component, :-1].transpose(1, 2, 0)
    return below.sum(axis=1).astype(np.uint8)

  bits = bits_per_position(entropy(), 2)
  return value_source(
    compute,
    EventSpec((2,), NUM_CLASSES),
    splits=splits,
    description=f"a ring of {NUM_COMPONENTS} Gaussians from seed {seed}, entropy {bits:.4f} bits per value",
  )


def probabilities() -> Float64[np.ndarray, "classes classes"]:
  """Returns the probability of every point, by (first, second) coordinate."""
  first, second = _coordinates()
  return first.T @ second / NUM_COMPONENTS


def entropy() -> float:
  """Returns the entropy of a point in nats.

  Example:
    >>> round(entropy(), 5)
    6.31996
  """
  possible = probabilities()
  possible = possible[possible > 0]
  return float(-(possible * np.log(possible)).sum())


@functools.cache
def _coordinates() -> Float64[np.ndarray, "2 components classes"]:
  """Returns the probability of every value of either coordinate, given the component."""
  edges = (np.arange(1, NUM_CLASSES) - HALF - 0.5) / PER_UNIT
  angles = 2 * np.pi * np.arange(NUM_COMPONENTS) / NUM_COMPONENTS
  means = RADIUS * np.stack([np.cos(angles), np.sin(angles)])
  below = np.vectorize(math.erfc)((means[..., None] - edges) / (DEVIATION * math.sqrt(2))) / 2
  ends = np.zeros((*means.shape, 1))
  return np.diff(np.concatenate([ends, below, ends + 1], axis=-1))
