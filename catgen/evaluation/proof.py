"""Proves the likelihood of a model on a space that can be enumerated, or shows where it is wrong.

Every statement is a `Claim` that can fail. Statements about random draws are tests: each fails with probability at
most LEVEL where it is true, also where it looks at every event. See `prove`.
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import chi2
from jaxtyping import Array, Float

from catgen import bounds
from catgen.interfaces import Batch, InputError, Model, PyTree, SampleOptions, example_keys

MAX_EVENTS = 1000
LEVEL = 1e-4  # probability that a true claim about draws fails
DEFAULT_OPTIONS = SampleOptions()
ROUNDING = 1e-4  # nats, or probability, that float32 may cost


class Claim(NamedTuple):
  """One statement about the model, whether it holds, and the numbers behind it."""

  name: str
  passed: bool
  detail: str


class _Mean(NamedTuple):
  value: Float[np.ndarray, "events"]
  error: Float[np.ndarray, "events"]


def prove(
  model: Model,
  params: PyTree,
  state: PyTree,
  *,
  key: Array,
  num_draws: int = 2000,
  num_samples: int = 20000,
  options: SampleOptions = DEFAULT_OPTIONS,
) -> list[Claim]:
  """Returns the claims about a model of at most MAX_EVENTS events, those that its capabilities allow.

  1. Probabilities, with the share of invalid samples as one more outcome, sum to one.
  2. The weights average to p(x); 3. no event's ELBO exceeds log p(x); 4. the full bound and the bound agree.
  5. Importance-weighted bounds do not fall from S to 2S of the same draws, and stay below log p(x).
  6. Samples occur as often as p(x) says.
  p(x) is `Model.log_prob`, else the average of the weights. A model that has neither can only show 4 and that its
  bounds do not claim more than probability one.

  Args:
    model, params, state: parameters should be trained or perturbed: at a zero head every statement is empty.
    key: all randomness.
    num_draws: draws per event and estimator, at least 16.
    num_samples: examples drawn for claim 6.
    options: how they are drawn; a sampler in fewer steps than the model has follows p(x) only nearly.

  Raises:
    InputError: the space is too large, or num_draws is too small.
  """
  events = enumerate_events(model)
  if num_draws < 16:
    raise InputError("a proof needs at least 16 draws")
  keys = jax.random.split(key, 5)
  claims: list[Claim] = []
  bound = _draw(
    lambda batch, k: model.bound(params, batch, k, state=state, train=False).nats, events, keys[0], num_draws
  )
  weights, exact = None, None
  if model.log_weight is not None:
    log_weight = model.log_weight
    weights = _draw(lambda batch, k: log_weight(params, batch, k, state=state), events, keys[1], num_draws)
  if model.log_prob is not None:
    log_prob = model.log_prob
    exact = np.asarray(jax.jit(lambda batch: log_prob(params, batch, state=state))(events), np.float64)
  drawn = _sample(model, params, state, keys[2], num_samples, options)
  truth = _Mean(np.exp(exact), np.zeros_like(exact)) if exact is not None else None
  if exact is None and model.log_weight is not None:  # draws of its own, so that claim 5 compares independent numbers
    truth = _mean(np.exp(_draw(lambda batch, k: log_weight(params, batch, k, state=state), events, keys[4], num_draws)))
  elbo = _mean(bound)
  if truth is not None:
    claims.append(_sums_to_one(truth, drawn, num_samples))
  if exact is not None and weights is not None:
    claims.append(_weights_agree(exact, weights))
  claims += _elbo_claims(elbo, truth)
  if model.full_bound is not None:
    full_bound = model.full_bound
    full = _draw(lambda batch, k: full_bound(params, batch, k, state=state)[0].nats, events, keys[3], num_draws // 8)
    claims.append(_bounds_agree(elbo, _mean(full)))
  if weights is not None and truth is not None:
    claims += _importance_claims(weights, truth)
  if truth is not None:
    claims.append(_frequencies_agree(truth, drawn, num_samples))
  return claims


def enumerate_events(model: Model) -> Batch:
  """Returns all K^D events of the model as one batch, the last position counting fastest."""
  size, num_classes = math.prod(model.event.shape), model.event.num_classes
  number = num_classes**size
  if number > MAX_EVENTS:
    raise InputError(f"{num_classes}^{size} events are too many to enumerate: at most {MAX_EVENTS} are")
  x = np.stack(np.unravel_index(np.arange(number), (num_classes,) * size), axis=-1).astype(np.int32)
  x = x.reshape(number, *model.event.shape)
  return Batch(x, np.ones(x.shape, bool), np.arange(number, dtype=np.int32))


def _draw(function: Callable[[Batch, Array], Array], events: Batch, key: Array, num_draws: int) -> np.ndarray:
  """Returns independent draws, [draws, events], float64."""

  @jax.jit
  def all_draws(batch: Batch) -> Array:
    return jax.lax.map(
      lambda s: function(batch, example_keys(jax.random.fold_in(key, s), jnp.asarray(batch.index))),
      jnp.arange(num_draws),
    )

  return np.asarray(all_draws(jax.tree.map(jnp.asarray, events)), np.float64)


def _sample(
  model: Model, params: PyTree, state: PyTree, key: Array, num_samples: int, options: SampleOptions
) -> np.ndarray:
  """Returns how often each event was drawn; what is missing to `num_samples` was invalid."""
  draw = jax.jit(lambda keys: model.sample(params, keys, state=state, options=options))
  samples = jax.device_get(draw(example_keys(key, jnp.arange(num_samples))))
  x, valid = (array.reshape(num_samples, -1) for array in (samples.x, samples.valid))
  place = model.event.num_classes ** np.arange(x.shape[1])[::-1]
  return np.bincount((x[valid.all(axis=1)] * place[None]).sum(axis=1), minlength=model.event.num_classes ** x.shape[1])


def _mean(draws: np.ndarray) -> _Mean:
  return _Mean(draws.mean(axis=0), draws.std(axis=0, ddof=1) / math.sqrt(len(draws)))


def _limit(num_statements: int) -> float:
  """Returns how many standard errors `num_statements` true statements together stay within, but for LEVEL."""
  return NormalDist().inv_cdf(1 - LEVEL / (2 * num_statements))


def _worst(excess: np.ndarray, error: np.ndarray) -> float:
  """Returns the largest excess in standard errors, beyond what rounding explains."""
  beyond = np.sign(excess) * np.maximum(np.abs(excess) - ROUNDING, 0.0)
  return float(np.max(np.where(beyond == 0, 0.0, beyond / np.maximum(error, 1e-12))))


def _sums_to_one(truth: _Mean, drawn: np.ndarray, num_samples: int) -> Claim:
  invalid = 1.0 - drawn.sum() / num_samples
  total, error = (
    truth.value.sum() + invalid,
    math.hypot(float(np.sqrt((truth.error**2).sum())), math.sqrt(invalid * (1 - invalid) / num_samples)),
  )
  passed = abs(total - 1.0) <= ROUNDING + _limit(1) * error
  return Claim("probabilities sum to one", bool(passed), f"{total:.5f} +- {error:.5f} (invalid: {invalid:.4f})")


def _weights_agree(exact: np.ndarray, weights: np.ndarray) -> Claim:
  ratio = _mean(np.exp(weights - exact[None]))
  worst = _worst(np.abs(ratio.value - 1.0), ratio.error)
  limit = _limit(len(exact))
  return Claim(
    "weights average to p(x)", worst <= limit, f"worst event {worst:.1f} standard errors (limit {limit:.1f})"
  )


def _elbo_claims(elbo: _Mean, truth: _Mean | None) -> list[Claim]:
  if truth is None:  # exp of a bound is at most p(x), and Jensen makes the average bound's exponential smaller still
    total = float(np.exp(elbo.value).sum())
    error = float(np.sqrt(((np.exp(elbo.value) * elbo.error) ** 2).sum()))
    return [
      Claim(
        "bounds claim at most probability one", total <= 1 + ROUNDING + _limit(1) * error, f"{total:.5f} +- {error:.5f}"
      )
    ]
  log_p, log_error = np.log(truth.value), truth.error / truth.value
  excess, error = elbo.value - log_p, np.hypot(elbo.error, log_error)
  worst, limit = _worst(excess, error), _limit(len(log_p))
  gap = float(-(truth.value * excess).sum() / truth.value.sum())
  gap_error = float(np.sqrt(((truth.value * error) ** 2).sum()) / truth.value.sum())
  return [
    Claim(
      "ELBO <= log p(x), every event", worst <= limit, f"worst event {worst:+.1f} standard errors (limit {limit:.1f})"
    ),
    Claim(
      "ELBO <= log p(x), on average", gap >= -ROUNDING - _limit(1) * gap_error, f"gap {gap:.4f} +- {gap_error:.4f} nats"
    ),
  ]


def _bounds_agree(one: _Mean, full: _Mean) -> Claim:
  excess, error = np.abs(one.value - full.value), np.hypot(one.error, full.error)
  worst, limit = _worst(excess, error), _limit(len(excess))
  detail = (
    f"mean difference {float((one.value - full.value).mean()):+.4f} nats, worst event {worst:.1f} standard errors"
  )
  return Claim("full bound = bound in expectation", worst <= limit, f"{detail} (limit {limit:.1f})")


def _importance_claims(weights: np.ndarray, truth: _Mean) -> list[Claim]:
  values, errors, sizes = [], [], (1, 2, 4, 8)
  usable = len(weights) // sizes[-1] * sizes[-1]
  for size in sizes:
    groups = jnp.asarray(weights[:usable].reshape(-1, size, weights.shape[1]).swapaxes(0, 1), jnp.float32)
    grouped = _mean(np.asarray(bounds.importance_weighted(groups), np.float64))
    values.append(grouped.value)
    errors.append(grouped.error)
  steps = np.diff(np.stack(values), axis=0)
  excess = values[-1] - np.log(truth.value)
  worst = _worst(excess, np.hypot(errors[-1], truth.error / truth.value))
  limit = _limit(len(excess))
  averages = ", ".join(f"{float((truth.value * value).sum() / truth.value.sum()):.4f}" for value in values)
  return [
    Claim(
      "importance-weighted bound does not fall",
      bool(steps.min() >= -ROUNDING),
      f"nats with 1, 2, 4, 8 draws: {averages}",
    ),
    Claim(
      "importance-weighted bound <= log p(x)",
      worst <= limit,
      f"worst event {worst:+.1f} standard errors (limit {limit:.1f})",
    ),
  ]


def _frequencies_agree(truth: _Mean, drawn: np.ndarray, num_samples: int) -> Claim:
  """A chi-square test, invalid as one more outcome; outcomes expected less than five times are put together.

  The Monte Carlo error of p(x) is added to the variance of each count.
  """
  invalid = max(0.0, 1.0 - float(truth.value.sum()))
  expected = np.append(truth.value, invalid) * num_samples
  counts, noise = np.append(drawn, num_samples - drawn.sum()), np.append(truth.error, 0.0) * num_samples
  rare = expected < 5
  expected, counts = (np.append(values[~rare], values[rare].sum()) for values in (expected, counts.astype(np.float64)))
  noise = np.append(noise[~rare], math.sqrt((noise[rare] ** 2).sum()))
  if expected[-1] < 5 and counts[-1] <= 20 and len(expected) > 2:  # too few together as well
    expected, counts, noise = expected[:-1], counts[:-1], noise[:-1]
  statistic = float(((counts - expected) ** 2 / np.maximum(expected + noise**2, 1e-12)).sum())
  freedom = max(1, len(expected) - 1)
  p_value = float(chi2.sf(statistic, freedom))
  return Claim(
    "samples occur as often as p(x) says",
    p_value >= LEVEL,
    f"chi-square {statistic:.1f} on {freedom}, p = {p_value:.3g}",
  )
