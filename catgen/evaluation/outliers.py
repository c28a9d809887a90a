"""Says how unusual examples are: where their bits per position stand among those of training examples."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from catgen import bounds


class ExampleBits(NamedTuple):
  """Bits per position of single examples: high = unlikely under the model."""

  bits: Float[np.ndarray, "examples"]
  errors: Float[np.ndarray, "examples"]  # Monte Carlo, over replicates; 0 where nothing is random, NaN where unknown


class Separation(NamedTuple):
  """How well a set of examples stands apart from the training examples."""

  probability: float  # that a random one of the set is less likely than a random training example; ties 1/2
  error: float  # its standard error over both sets; NaN where one of them has a single example


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

  The error takes the variance of each example's share of the other set (DeLong et al., 1988).
  """
  shares = [percentiles(bits, reference) / 100, percentiles(reference, bits) / 100]
  if min(map(len, shares)) < 2:
    return Separation(float(shares[0].mean()), math.nan)
  return Separation(float(shares[0].mean()), math.sqrt(sum(each.var(ddof=1) / len(each) for each in shares)))
