"""Says how unusual examples are: where their bits per position stand among those of training examples."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from catgen import bounds
from catgen.evaluation.shares import error_of_mean

ADDED = (0.0, 1.0)  # placements that each set is taken to have besides


class ExampleBits(NamedTuple):
  """Bits per position of single examples: high = unlikely under the model."""

  bits: Float[np.ndarray, "examples"]
  errors: Float[np.ndarray, "examples"]  # Monte Carlo, over replicates; 0 where nothing is random, NaN where unknown


class Separation(NamedTuple):
  """How well a set of examples stands apart from the training examples."""

  probability: float  # that a random one of the set is less likely than a random training example; ties 1/2
  error: float  # its standard error over both sets, more than 0; NaN where one of them has a single example


def example_bits(
  nats: Float[np.ndarray, "replicates examples"], positions: Int[np.ndarray, "examples"], *, exact: bool = False
) -> ExampleBits:
  """Returns the bits per position of each example, from what `likelihood.evaluate` found; exact: nothing was drawn."""
  bits = bounds.bits_per_position(-nats, positions[None])
  if len(bits) == 1:
    return ExampleBits(bits[0], np.full(bits.shape[1], 0.0 if exact else math.nan))
  with np.errstate(invalid="ignore"):  # an impossible example needs infinitely many bits
    return ExampleBits(bits.mean(axis=0), bits.std(axis=0, ddof=1) / math.sqrt(len(bits)))


def percentiles(
  bits: Float[np.ndarray, "examples"], reference: Float[np.ndarray, "references"]
) -> Float[np.ndarray, "examples"]:
  """Returns the percentage of reference examples that need fewer bits, ties half: 99 = less likely than 99 %."""
  ordered = np.sort(reference)
  fewer, at_most = (np.searchsorted(ordered, bits, side=side) for side in ("left", "right"))
  return 50.0 * (fewer + at_most) / len(ordered)


def separation(bits: Float[np.ndarray, "examples"], reference: Float[np.ndarray, "references"]) -> Separation:
  """Returns the Mann-Whitney statistic U / (m n), the area under the ROC curve of the bits: 1/2 where alike, 1 apart.

  The error takes the variance of each example's share of the other set (DeLong et al., 1988). To each set one example
  is added that lies below all of the other and one that lies above, so that a few that stand apart do not state an
  error of 0; see the module `shares`.
  """
  found = placements(bits, reference)
  return Separation(float(found[0].mean()), math.hypot(*(error_of_mean(each, ADDED) for each in found)))


def placements(
  bits: Float[np.ndarray, "examples"], reference: Float[np.ndarray, "references"]
) -> tuple[Float[np.ndarray, "examples"], Float[np.ndarray, "references"]]:
  """Returns what part of the references each example is above, and what part of the examples is above each reference.

  Ties count half. The means of both are the same.
  """
  return percentiles(bits, reference) / 100, percentiles(-reference, -bits) / 100
