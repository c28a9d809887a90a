"""p(x) of every event of a small space: exact, or from random draws with standard errors that can be trusted."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from catgen import bounds
from catgen.interfaces import Batch, Model, PyTree
from catgen.keys import example_keys

ENOUGH = 100.0  # effective draws per event, below which the average of its weights says little about p(x)
_AT_ONCE = 500  # latents drawn together


class Mean(NamedTuple):
  """An average of draws for each event, and its standard error."""

  value: Float[np.ndarray, "events"]
  error: Float[np.ndarray, "events"]


class EventProbabilities(NamedTuple):
  """p(x) and its standard error, 0 where it is exact; `known` where that error can be trusted."""

  p: Float[np.ndarray, "events"]
  error: Float[np.ndarray, "events"]
  known: Bool[np.ndarray, "events"]
  sensitivity: float = 1.0  # change of the sum of p where log p(x, v) of every draw changes by a small one

  def missing(self) -> str:
    """Returns what to add to a claim about the known events."""
    number = int((~self.known).sum())
    return f"; {number} of {self.known.size} events left out: weights too spread" if number else ""

  def verdict(self, holds: bool) -> bool | None:
    """Returns the answer of a claim about the known events, or None if there are none."""
    return bool(holds) if self.known.any() else None


def mean(draws: Float[np.ndarray, "draws events"]) -> Mean:
  """Returns averages over independent draws."""
  return Mean(draws.mean(axis=0), draws.std(axis=0, ddof=1) / math.sqrt(len(draws)))


def of_log_prob(log_prob: Float[np.ndarray, "events"]) -> EventProbabilities:
  """Returns exact probabilities."""
  return EventProbabilities(np.exp(log_prob), np.zeros_like(log_prob), np.ones(log_prob.shape, bool))


def of_law(p: Float[np.ndarray, "events"]) -> EventProbabilities:
  """Returns exact probabilities, which may be 0."""
  return EventProbabilities(p, np.zeros_like(p), np.ones(p.shape, bool))


def of_weights(log_weights: Float[np.ndarray, "draws events"]) -> EventProbabilities:
  """Returns the averages of importance weights."""
  effective = np.asarray(bounds.effective_sample_size(jnp.asarray(log_weights, jnp.float32)))
  return EventProbabilities(*mean(np.exp(log_weights)), effective >= ENOUGH)


def of_both_sides(
  log_weights: Float[np.ndarray, "draws events"],
  latent_log_weights: Float[np.ndarray, "latents"],
  meant: Int[np.ndarray, "latents"],
) -> EventProbabilities:
  """Returns p(x) of a latent from draws of q(v | x) and of p(v, x), by the balance heuristic (Veach and Guibas, 1995).

  With N draws of q(v | x) and M of p(v, x), p(x) is the expectation of the sum of p / (N q + M p), p = p(v, x), over
  the former and those of the latter that have this x: of a flow, those in its region. No summand exceeds 1 / M, so the
  sum has a variance and its error can be estimated where weights p / q have none: those of the inverse "gumbel", whose
  left tail is lighter than that of any density. What draws of p(v, x) alone can reach is counted there whatever
  log p(v) says, hence `sensitivity`.

  Args:
    log_weights: log p(v, x) - log q(v | x) at draws of q(v | x).
    latent_log_weights: the same at draws of p(v, x); infinite where v means no x.
    meant: number of that event, -1 for none.
  """
  (num_draws, num_events), num_latents = log_weights.shape, len(meant)
  ratio = num_latents / num_draws
  shares, share = (_sigmoid(log_w + math.log(ratio)) for log_w in (log_weights, latent_log_weights))
  inferred = mean(shares / ratio)
  used = meant >= 0
  first, second = (
    np.bincount(meant[used], share[used] ** power, minlength=num_events) / num_latents for power in (1, 2)
  )
  p, error = inferred.value + first, np.sqrt(inferred.error**2 + (second - first**2) / num_latents)
  changes = (shares * (1 - shares)).mean(axis=0).sum() / ratio + (share * (1 - share)).mean()
  return EventProbabilities(p, error, (p > 0) & (error * math.sqrt(ENOUGH) <= p), float(changes))


def draw_latents(
  model: Model,
  params: PyTree,
  state: PyTree,
  key: Array,
  number: int,
  given: Int[np.ndarray, "attributes"] | None = None,
) -> tuple[Float[np.ndarray, "latents"], Int[np.ndarray, "latents"]]:
  """Returns `latent_log_weights` and `meant` of `of_both_sides` for `number` draws of p(v | given)."""
  latent, size = model.latent, math.prod(model.event.shape)
  assert latent is not None
  places = model.event.num_classes ** np.arange(size)[::-1]
  labels = None if given is None else jnp.tile(jnp.asarray(given, jnp.int32)[None], (_AT_ONCE, 1))

  def some(first: Array) -> tuple[Array, Array]:
    keys = example_keys(key, first + jnp.arange(_AT_ONCE))
    v, meant = latent.sample(params, keys, given=labels, state=state)
    every = Batch(meant.x, jnp.ones_like(meant.valid), first + jnp.arange(_AT_ONCE), given=labels)
    log_p = latent.log_prob(params, v, given=labels, state=state)
    log_p = log_p + latent.log_likelihood(params, every, v, state=state)
    log_weight = log_p - latent.log_q(params, every, v, state=state)
    flat = meant.x.reshape(_AT_ONCE, size)
    used = meant.valid.reshape(_AT_ONCE, size).all(axis=1)
    return jnp.where(used, log_weight, jnp.inf), jnp.where(used, flat @ places, -1)

  drawn = jax.jit(lambda starts: jax.lax.map(some, starts))(jnp.arange(0, number, _AT_ONCE))
  log_weights, numbers = (np.asarray(part).reshape(-1)[:number] for part in drawn)
  return log_weights.astype(np.float64), numbers


def _sigmoid(x: np.ndarray) -> np.ndarray:
  return np.exp(-np.logaddexp(0.0, -x))
