"""Combines draws of a bound: averages, importance-weighted bounds, standard errors, and nats to bits.

Two standard errors exist and are never mixed. Over examples: how far the number would move with other data.
Over replicates of the whole estimate: how far it would move with other random numbers (Monte Carlo).
"""

import math
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Nats = TypeVar("Nats", float, np.ndarray)


class Estimate(NamedTuple):
  """A mean in bits per position with its two standard errors; an error that cannot be known is NaN."""

  bits: float
  data_error: float  # over examples
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
  some = largest > -jnp.inf
  weights = jnp.exp(log_weights - jnp.where(some, largest, 0.0)[None])
  return jnp.where(some, weights.sum(axis=0) ** 2 / jnp.where(some, (weights**2).sum(axis=0), 1.0), 0.0)


def estimate(
  nats: Float[np.ndarray, "replicates examples"], num_positions: Int[np.ndarray, "examples"], *, exact: bool = False
) -> Estimate:
  """Returns bits per position, -sum nats / (ln 2 sum positions), with both standard errors.

  Args:
    nats: lower bounds (or exact log-probabilities) per replicate of the whole estimate and per example.
    num_positions: valid positions of each example.
    exact: True where nothing was drawn: the Monte Carlo error is then 0 instead of unknown with one replicate.

  The error over examples is that of a ratio (examples may differ in length), by linearization.
  """
  nats, counts = np.asarray(nats, np.float64), np.asarray(num_positions, np.float64)
  total, num_examples = counts.sum(), counts.size
  bits = bits_per_position(-nats.mean(axis=0).sum(), total)
  with np.errstate(invalid="ignore"):  # an impossible example makes the estimate infinite, and its error unknown
    residual = bits_per_position(-nats.mean(axis=0), 1.0) - bits * counts
  data = math.sqrt(num_examples / (num_examples - 1) * (residual**2).sum()) / total if num_examples > 1 else math.nan
  if exact:
    return Estimate(bits, data, 0.0)
  if len(nats) < 2:
    return Estimate(bits, data, math.nan)
  replicates = bits_per_position(-nats.sum(axis=1), total)
  return Estimate(bits, data, float(np.std(replicates, ddof=1) / math.sqrt(len(nats))))
