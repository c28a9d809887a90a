"""P(x) of tiny flows by quasi-Monte Carlo quadrature of p(v) over the region of x, with maps written here.

Sobol points in the unit cube are mapped to the region: the box of a one-hot vector as it is; a half-line by an
exponential; the region of an argmax by a logistic largest coordinate and exponential gaps. These fall more slowly than
p(v), whose tails are Gaussian, so the integrand is smooth and bounded. A first pass with wide maps finds where p(v) has
its mass, two more refine that, a last one with maps of that location and scale integrates.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
from scipy.stats import qmc

from catgen.interfaces import EventSpec

_PASSES, _PILOT = 3, 2**11  # points of a first pass, and of one call of the density: one program for all


def _points(dimensions: int, kind: str, refined: int) -> np.ndarray:
  log_points = {"box": 14, "half-line": 15, "argmax": 16 if dimensions < 6 else 20}[kind]
  return np.clip(qmc.Sobol(dimensions, seed=0).random_base2(log_points + refined), 1e-12, 1 - 1e-12)


def _coordinates(u, largest, location, scale):
  """Returns the top coordinate (logistic) and the gaps (exponential), and the log of the product of their slopes."""
  top = location + scale * (np.log(u) - np.log1p(-u))
  gap = -scale * np.log1p(-u)
  slope = np.log(scale) - np.log1p(-u) - np.where(largest, np.log(u), 0.0)
  return np.where(largest, top, gap), slope.sum(-1)


class _Region:
  """Of one digit: how coordinates become latents, and which of them is the top one."""

  def __init__(self, kind: str, category: int, channels: int) -> None:
    self.kind, self.category = kind, category
    self.largest = (np.arange(channels) == category) & (kind == "argmax")
    self.location, self.scale = np.zeros(channels), np.full(channels, 2.0)

  def latents(self, u):
    """Returns (v, log |dv/du|, coordinates)."""
    if self.kind == "box":
      return u + np.eye(u.shape[-1])[self.category], np.zeros(len(u)), u
    c, slope = _coordinates(u, self.largest, self.location, self.scale)
    if self.kind == "half-line":
      return (c if self.category else -c), slope, c
    top = c[:, self.category, None]
    return np.where(self.largest, c, top - c), slope, c

  def adapt(self, coordinates, weights):
    """Takes location and scale from weighted coordinates, somewhat wider than they are."""
    mean = weights @ coordinates
    deviation = np.sqrt(weights @ np.square(coordinates - mean))
    self.location = mean
    self.scale = np.where(self.largest, 0.8 * deviation, 1.4 * mean)


def probabilities(log_prob: Callable, event: EventSpec, *, base: int, boxes: bool, refined: int = 0) -> np.ndarray:
  """Returns P of every tuple of codes, [codes per position] * positions; codes above the categories are unused.

  log_prob: log p(v) of latents [_PILOT, *event, channels]; refined: the number of points is doubled as often.
  """
  num_positions = math.prod(event.shape)
  num_digits = next(d for d in itertools.count(1) if base**d >= event.num_classes)
  kind = "box" if boxes else "half-line" if base == 2 else "argmax"
  channels = 1 if kind == "half-line" else base
  u = _points(num_positions * num_digits * channels, kind, refined).reshape(-1, num_positions * num_digits, channels)

  def integrand(regions, u):
    parts = [region.latents(u[:, i]) for i, region in enumerate(regions)]
    v = np.stack([part[0] for part in parts], axis=1).reshape(len(u), *event.shape, -1)
    log_p = np.concatenate([log_prob(each) for each in np.float32(v).reshape(-1, _PILOT, *v.shape[1:])])
    return np.exp(log_p + sum(part[1] for part in parts)), [part[2] for part in parts]

  result = np.zeros((base**num_digits,) * num_positions)
  for codes in np.ndindex(*result.shape):
    digits = [code // base ** (num_digits - 1 - j) % base for code in codes for j in range(num_digits)]
    regions = [_Region(kind, digit, channels) for digit in digits]
    if kind != "box":
      for _ in range(_PASSES):
        values, coordinates = integrand(regions, u[:_PILOT])
        for region, seen in zip(regions, coordinates, strict=True):
          region.adapt(seen, values / values.sum())
    result[codes] = integrand(regions, u)[0].mean()
  return result
