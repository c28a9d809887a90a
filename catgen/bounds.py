"""Combines draws of a bound: averages, importance-weighted bounds, standard errors, and nats to bits.

Two standard errors exist and are never mixed. Over examples: how far the number would move with other data; of
consecutive pieces of one text it allows for their correlation. Over replicates of the whole estimate: how far it would
move with other random numbers (Monte Carlo).
"""

import math
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Nats = TypeVar("Nats", float, np.ndarray)
FEWEST_PIECES = 10  # consecutive ones, of which the error is known: of fewer, correlation cannot be told from chance


class Estimate(NamedTuple):
  """A mean in bits per position with its two standard errors; an error that cannot be known is NaN."""

  bits: float
  data_error: float  # over examples; see `ratio_error`
  monte_carlo_error: float  # over independent replicates of the whole estimate; 0 where nothing is random


def bits_per_position(nats: Nats, num_positions: Any) -> Nats:
  """Returns nats / (num_positions ln 2): the only place where nats become bits.

  Example:
    >>> round(bits_per_position(10 * math.log(27), 10), 4)  # a uniform guess among 27 categories
    4.7549
  """
  return nats / (num_positions * math.log(2.0))


@jax.jit
def importance_weighted(log_weights: Float[Array, "draws *batch"]) -> Float[Array, "*batch"]:
  """Returns log mean exp over draws: in expectation between the ELBO and log p(x) (Burda et al., 2016).

  Numerics: weights of -inf, which are draws that cannot be, count as draws; where all are, so is the result.

  Example:
    >>> float(importance_weighted(jnp.log(jnp.array([0.1, 0.3]))[:, None])[0])  # ln 0.2
    -1.6094379425048828
  """
  return jax.nn.logsumexp(log_weights, axis=0) - jnp.log(log_weights.shape[0])


@jax.jit
def effective_sample_size(log_weights: Float[Array, "draws *batch"]) -> Float[Array, "*batch"]:
  """Returns (sum w)^2 / sum w^2 over draws, between 1 and their number; below about 10 distrust the bound.

  Numerics: 0 where all weights are zero, since no draw counts then.

  Example:
    >>> effective_sample_size(jnp.array([[0.0, 0.0, -jnp.inf], [0.0, -jnp.inf, -jnp.inf]])).tolist()
    [2.0, 1.0, 0.0]

  Reference: Kong (1992), A note on importance sampling using standardized weights.
  """
  largest = log_weights.max(axis=0)
  weights = jnp.exp(log_weights - largest[None])
  return jnp.where(largest > -jnp.inf, weights.sum(axis=0) ** 2 / (weights**2).sum(axis=0), 0.0)


def estimate(
  nats: Float[np.ndarray, "replicates examples"],
  num_positions: Int[np.ndarray, "examples"],
  *,
  exact: bool = False,
  consecutive: bool = False,
) -> Estimate:
  """Returns bits per position, -sum nats / (ln 2 sum positions), with both standard errors.

  Args:
    nats: lower bounds (or exact log-probabilities) per replicate of the whole estimate and per example.
    num_positions: valid positions of each example.
    exact: True where nothing was drawn: the Monte Carlo error is then 0 instead of unknown with one replicate.
    consecutive: True where the examples are pieces of one stream, in its order; see `ratio_error`.

  The error over examples is that of a ratio (examples may differ in length), by linearization.
  """
  nats, counts = np.asarray(nats, np.float64), np.asarray(num_positions, np.float64)
  total = counts.sum()
  bits = bits_per_position(-nats.mean(axis=0).sum(), total)
  with np.errstate(invalid="ignore"):  # an impossible example makes the estimate infinite, and its error unknown
    residual = bits_per_position(-nats.mean(axis=0), 1.0) - bits * counts
  data = ratio_error(residual, total, consecutive=consecutive)
  if exact:
    return Estimate(bits, data, 0.0)
  if len(nats) < 2:
    return Estimate(bits, data, math.nan)
  replicates = bits_per_position(-nats.sum(axis=1), total)
  return Estimate(bits, data, float(np.std(replicates, ddof=1) / math.sqrt(len(nats))))


def ratio_error(residual: Float[np.ndarray, "examples"], total: float, *, consecutive: bool) -> float:
  """Returns the standard error of sum a / sum b, by linearization; at least 0, and NaN where it cannot be known.

  Args:
    residual: a - (sum a / sum b) b of each example; these add up to 0.
    total: sum b.
    consecutive: whether the examples are pieces of one stream, in its order, some perhaps left out. Separate examples
      are independent, and their variance is the sum of r_i^2. That of pieces is the sum of w_ij r_i r_j over all pairs,
      with Bartlett's weights w_ij = max(0, 1 - |i - j| / (m + 1)) and m = n^(2/3), rounded.

  Residuals lack their mean, so that either sum is too small by a factor of 1 - sum_ij w_ij / n^2 (that is, 1 - 1 / n,
  and about 1 - m / n); it is divided by that, which is exact of independent ones. The error is NaN of a single
  example, of fewer than `FEWEST_PIECES` pieces, and where an example is impossible.

  References: Newey and West (1987), A simple, positive semi-definite, heteroskedasticity and autocorrelation consistent
    covariance matrix, equation 5; Kiefer and Vogelsang (2005), A new asymptotic theory for heteroskedasticity-
    autocorrelation robust tests, on what the missing mean does; docs/DECISIONS.md on the choice of m.
  """
  number = len(residual)
  if number < (FEWEST_PIECES if consecutive else 2):
    return math.nan
  width = 1 + (round(number ** (2 / 3)) if consecutive else 0)
  lacking = _near_pairs(np.ones(number), width) / number
  return math.sqrt(number / (number - lacking) * _near_pairs(np.asarray(residual, np.float64), width)) / total


def _near_pairs(values: Float[np.ndarray, "examples"], width: int) -> float:
  """Returns sum_ij max(0, 1 - |i - j| / width) v_i v_j, at least 0.

  It is the sum of squares of all windows' sums by their width, since a pair lies in width - |i - j| windows (Meketon
  and Schmeiser, 1984, Overlapping batch means: something for nothing?).
  """
  if width > 1:
    sums = np.cumsum(np.pad(values, (width, width - 1)))
    values = sums[width:] - sums[:-width]
  return float((values**2).sum()) / width
