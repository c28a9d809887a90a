"""Proves the likelihood of a model on a space that can be enumerated, or shows where it is wrong.

Every statement is a `Claim` that can fail. Statements about random draws are tests: each fails with probability at
most LEVEL where it is true, also where it looks at every event. See `prove`.
"""

import functools
import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import chi2
from jaxtyping import Array

from catgen import bounds
from catgen.batches import batch_of, take
from catgen.evaluation import event_probabilities
from catgen.evaluation.event_probabilities import EventProbabilities, Mean, mean
from catgen.evaluation.samples import generate
from catgen.evaluation.spread import ALONE, Spread
from catgen.interfaces import Batch, InputError, Model, PyTree, SampleOptions
from catgen.keys import example_keys
from catgen.orders import Orders, named, stated

MAX_EVENTS = 1000
LEAST_DRAWS = 16
LEVEL = 1e-4  # probability that a true claim about draws fails
DEFAULT_OPTIONS = SampleOptions()
AT_ONCE = 50  # draws computed together
CERTAIN = 0.05  # standard error of the sum of all probabilities, or of log p by it, above which it says little
ROUNDING = 1e-4  # nats, or probability, that float32 may cost


class Claim(NamedTuple):
  """One statement about the model, whether it holds, and the numbers behind it."""

  name: str
  passed: bool | None  # None = these draws cannot tell
  detail: str


def prove(
  model: Model,
  params: PyTree,
  state: PyTree,
  *,
  key: Array,
  num_draws: int = 2000,
  num_samples: int = 20000,
  options: SampleOptions = DEFAULT_OPTIONS,
  spread: Spread = ALONE,
) -> list[Claim]:
  """Returns the claims about a model of at most MAX_EVENTS events, those that its capabilities allow.

  1. Probabilities, with the share of invalid samples as one more outcome, sum to one.
  2. The weights average to p(x); 3. no event's ELBO exceeds log p(x); 4. the full bound and the bound agree.
  5. Importance-weighted bounds do not fall from S to 2S of the same draws, and stay below log p(x).
  6. Samples occur as often as p(x) says.
  7. For each order of drawing, one or two positions at a time, restricted or not: its probabilities sum to one, and its
  samples occur as often as they say. 8. So do samples of a random order by p(x) itself.
  p(x) is `Model.log_prob`, else the average of the weights; that of a flow is found from draws of q(v | x) and of p(v)
  (`event_probabilities.of_both_sides`). A model that has neither can only show 4 and that its bounds do not claim more
  than probability one.

  Args:
    model, params, state: parameters should be trained or perturbed: at a zero head every statement is empty.
    key: all randomness.
    num_draws: draws per event and estimator, at least 16.
    num_samples: examples drawn for claim 6.
    options: how they are drawn; a sampler in fewer steps than the model has follows p(x) only nearly.
    spread: the devices that share events and samples.

  Raises:
    InputError: the space is too large, or num_draws is too small.
  """
  check_size(model.event.shape, model.event.num_classes, num_draws)
  events = enumerate_events(model)
  keys = jax.random.split(key, 6)

  drawn_of = functools.partial(_drawn_of, params, state, events, spread)
  elbo = mean(drawn_of(lambda p, b, k, s: model.bound(p, b, k, state=s, train=False).nats, num_draws)(keys[0]))
  weights, exact, truth = None, None, None
  if model.log_weight is not None:
    log_weight = model.log_weight
    log_weights = drawn_of(lambda p, b, k, s: log_weight(p, b, k, state=s), num_draws)
    # two independent sets, so that claim 5 compares independent numbers
    weights, others = log_weights(keys[1]), log_weights(keys[4])
    truth = event_probabilities.of_weights(others)
    if model.latent is not None:
      # of p(v) so few, that they cannot outvote a wrong log p(v): see `of_both_sides`
      number = min(num_samples, num_draws * len(events.x) // 8 + 1)
      latents = event_probabilities.draw_latents(model, params, state, keys[5], number)
      truth = event_probabilities.of_both_sides(others, *latents)
  if model.log_prob is not None:
    log_prob = model.log_prob
    exact = drawn_of(lambda p, b, k, s: log_prob(p, b, state=s), 1)(keys[4])[0]
    truth = event_probabilities.of_log_prob(exact)
  claims = _elbo_claims(elbo, truth)
  if model.full_bound is not None:
    full_bound = model.full_bound
    full = mean(drawn_of(lambda p, b, k, s: full_bound(p, b, k, state=s)[0].nats, num_draws // 8)(keys[3]))
    claims.append(_bounds_agree(elbo, full))
  if exact is not None and weights is not None:
    claims.append(_weights_agree(exact, weights))
  if weights is not None and truth is not None:
    claims += _importance_claims(weights, truth)
  if truth is not None:
    drawn = _count_samples(model, params, state, keys[2], num_samples, options, spread)
    claims = [_sums_to_one(truth, drawn, num_samples), *claims, _frequencies_agree(truth, drawn, num_samples)]
  if model.orders is not None:
    counted = functools.partial(_count_samples, model, params, state, keys[2], num_samples, spread=spread)
    claims += _order_claims(model.orders, drawn_of, counted, truth, keys[4], num_samples)
  return claims


def _order_claims(
  orders: Orders,
  drawn_of: Callable[..., Callable[[Array], np.ndarray]],
  counted: Callable[..., np.ndarray],
  own: EventProbabilities | None,
  key: Array,
  num_samples: int,
) -> list[Claim]:
  """Returns what holds of samples by each order.

  Args:
    orders: of the model.
    drawn_of: (function, number) -> key -> what it gives of every event.
    counted: (options=...) -> how often each event is drawn.
    own: p(x) of the model, which random orders follow.
  """
  claims = []
  for law in _laws(orders):
    log_prob = functools.partial(orders.log_prob, options=law)
    exact = drawn_of(lambda p, b, k, s, log_prob=log_prob: log_prob(p, b, state=s), 1)(key)[0]
    truth, drawn = event_probabilities.of_log_prob(exact), counted(options=law)
    both = _sums_to_one(truth, drawn, num_samples), _frequencies_agree(truth, drawn, num_samples)
    claims += [claim._replace(name=f"{named(stated(law))}: {claim.name}") for claim in both]
  for law in [SampleOptions(order=name) for name in orders.random]:
    if own is not None:
      claim = _frequencies_agree(own, counted(options=law), num_samples)
      claims.append(claim._replace(name=f"order {law.order}: {claim.name}"))
  return claims


def _laws(orders: Orders) -> list[SampleOptions]:
  """Returns the orders as they are, and the first one restricted, with two positions a call where there are such."""
  restricted = SampleOptions(order=orders.names[0], temperature=0.7, top_k=2)
  halves = tuple(size for size in (orders.most_together // 2, -(-orders.most_together // 2)) if size)
  own: dict[str, dict[str, Any]] = {"entropy_budget": {"entropy_budget": 0.5}, "blocks": {"blocks": halves}}
  plain = [SampleOptions(order=name, **own.get(name, {})) for name in orders.names]
  return [*plain, restricted._replace(positions_per_call=min(2, orders.most_together))]


def check_size(shape: Sequence[int], num_classes: int, num_draws: int) -> None:
  """Raises InputError where a space has no events or too many to enumerate, or a proof too few draws."""
  size = math.prod(shape)
  if num_classes < 1:
    raise InputError(f"num_classes is {num_classes}; it must be at least 1")
  if size * math.log(num_classes) > math.log(MAX_EVENTS + 0.5):  # K^D itself may have millions of digits
    raise InputError(f"{num_classes}^{size} events are too many to enumerate: at most {MAX_EVENTS} are")
  if not LEAST_DRAWS <= num_draws < 2**31:
    raise InputError(f"num_draws is {num_draws}; a proof needs at least {LEAST_DRAWS} draws, and less than 2^31")


def enumerate_events(model: Model) -> Batch:
  """Returns all K^D events of the model as one batch, the last position counting fastest."""
  size, num_classes = math.prod(model.event.shape), model.event.num_classes
  check_size(model.event.shape, num_classes, LEAST_DRAWS)
  number = num_classes**size
  x = np.stack(np.unravel_index(np.arange(number), (num_classes,) * size), axis=-1).astype(np.int32)
  x = x.reshape(number, *model.event.shape)
  return batch_of(x)


def _drawn_of(
  params: PyTree, state: PyTree, events: Batch, spread: Spread, function: Callable[..., Array], num_draws: int
) -> Callable[[Array], np.ndarray]:
  """Returns key -> independent draws, [draws, events], float64, of function(params, batch, keys, state)."""

  def all_draws(params: PyTree, state: PyTree, batch: Batch, key: Array) -> Array:
    def one(number: Array) -> Array:
      return function(params, batch, example_keys(jax.random.fold_in(key, number), jnp.asarray(batch.index)), state)

    return jax.lax.map(one, jnp.arange(num_draws), batch_size=AT_ONCE)

  number, compiled = len(events.x), spread.compiled(all_draws)
  placed = spread.put(take(events, spread.numbers(0, number)))
  return lambda key: np.asarray(compiled(params, state, placed, key), np.float64)[:, :number]


def _count_samples(
  model: Model,
  params: PyTree,
  state: PyTree,
  key: Array,
  num_samples: int,
  options: SampleOptions,
  spread: Spread,
) -> np.ndarray:
  """Returns how often each event was drawn; what is missing to `num_samples` was invalid."""
  drawn = generate(
    model, params, state, num_samples=num_samples, batch_size=5000, key=key, options=options, spread=spread
  )
  x, valid = (np.asarray(array).reshape(num_samples, -1) for array in (drawn.x, drawn.valid))
  place = model.event.num_classes ** np.arange(x.shape[1])[::-1]
  return np.bincount((x[valid.all(axis=1)] * place[None]).sum(axis=1), minlength=model.event.num_classes ** x.shape[1])


def _limit(num_statements: int) -> float:
  """Returns how many standard errors `num_statements` true statements together stay within, but for LEVEL."""
  return NormalDist().inv_cdf(1 - LEVEL / (2 * num_statements))


def _worst(excess: np.ndarray, error: np.ndarray, known: np.ndarray | None = None) -> float:
  """Returns the largest excess in standard errors, beyond what rounding explains, among the known events."""
  beyond = np.sign(excess) * np.maximum(np.abs(excess) - ROUNDING, 0.0)
  scores = np.where(beyond == 0, 0.0, beyond / np.maximum(error, 1e-12))
  return float(np.max(scores if known is None else scores[known], initial=-math.inf))


def _sums_to_one(truth: EventProbabilities, drawn: np.ndarray, num_samples: int) -> Claim:
  invalid = 1.0 - drawn.sum() / num_samples
  total = float(truth.p.sum() + invalid)
  error = math.sqrt(float((truth.error**2).sum()) + invalid * (1 - invalid) / num_samples)
  detail = f"{total:.5f} +- {error:.5f} (invalid: {invalid:.4f})"
  if error > CERTAIN * truth.sensitivity:
    return Claim("probabilities sum to one", None, f"{detail}: too uncertain to tell; take more draws")
  return Claim("probabilities sum to one", abs(total - 1.0) <= ROUNDING + _limit(1) * error, detail)


def _weights_agree(exact: np.ndarray, weights: np.ndarray) -> Claim:
  ratio = event_probabilities.of_weights(weights - exact[None])
  worst, limit = _worst(np.abs(ratio.p - 1.0), ratio.error, ratio.known), _limit(len(exact))
  detail = f"worst event {worst:.1f} standard errors (limit {limit:.1f}){ratio.missing()}"
  return Claim("weights average to p(x)", ratio.verdict(worst <= limit), detail)


def _elbo_claims(elbo: Mean, truth: EventProbabilities | None) -> list[Claim]:
  if truth is None:  # exp of a bound is at most p(x), and Jensen makes the average bound's exponential smaller still
    total = float(np.exp(elbo.value).sum())
    error = float(np.sqrt(((np.exp(elbo.value) * elbo.error) ** 2).sum()))
    passed = total <= 1 + ROUNDING + _limit(1) * error
    return [Claim("bounds claim at most probability one", passed, f"{total:.5f} +- {error:.5f}")]
  excess, error = elbo.value - np.log(truth.p), np.hypot(elbo.error, truth.error / truth.p)
  worst, limit = _worst(excess, error, truth.known), _limit(len(excess))
  share = np.where(truth.known, truth.p, 0.0) / max(float(truth.p[truth.known].sum()), 1e-30)
  gap, gap_error = -float((share * excess).sum()), float(np.sqrt(((share * error) ** 2).sum()))
  detail = f"worst event {worst:+.1f} standard errors (limit {limit:.1f}){truth.missing()}"
  average = gap >= -ROUNDING - _limit(1) * gap_error
  return [
    Claim("ELBO <= log p(x), every event", truth.verdict(worst <= limit), detail),
    Claim("ELBO <= log p(x), on average", truth.verdict(average), f"gap {gap:.4f} +- {gap_error:.4f} nats"),
  ]


def _bounds_agree(one: Mean, full: Mean) -> Claim:
  excess, error = np.abs(one.value - full.value), np.hypot(one.error, full.error)
  worst, limit = _worst(excess, error), _limit(len(excess))
  detail = (
    f"mean difference {float((one.value - full.value).mean()):+.4f} nats, worst event {worst:.1f} standard errors"
  )
  return Claim("full bound = bound in expectation", worst <= limit, f"{detail} (limit {limit:.1f})")


def _importance_claims(weights: np.ndarray, truth: EventProbabilities) -> list[Claim]:
  means, sizes = [], (1, 2, 4, 8)
  usable = len(weights) // sizes[-1] * sizes[-1]
  for size in sizes:
    groups = jnp.asarray(weights[:usable].reshape(-1, size, weights.shape[1]).swapaxes(0, 1), jnp.float32)
    means.append(mean(np.asarray(bounds.importance_weighted(groups), np.float64)))
  steps = np.diff(np.stack([mean.value for mean in means]), axis=0)
  excess, error = means[-1].value - np.log(truth.p), np.hypot(means[-1].error, truth.error / truth.p)
  worst, limit = _worst(excess, error, truth.known), _limit(len(excess))
  averages = ", ".join(f"{float((truth.p * mean.value).sum() / truth.p.sum()):.4f}" for mean in means)
  detail = f"worst event {worst:+.1f} standard errors (limit {limit:.1f}){truth.missing()}"
  rising = bool(steps.min() >= -ROUNDING)
  return [
    Claim("importance-weighted bound does not fall", rising, f"nats with 1, 2, 4, 8 draws: {averages}"),
    Claim("importance-weighted bound <= log p(x)", truth.verdict(worst <= limit), detail),
  ]


def _frequencies_agree(truth: EventProbabilities, drawn: np.ndarray, num_samples: int) -> Claim:
  """A chi-square test over the events whose p(x) is known and that are expected five times or more.

  All other outcomes, invalid ones among them, are put together; with p(x) they have what is missing to one. The Monte
  Carlo error of p(x) is added to the variance of each count.
  """
  single = truth.known & (truth.p * num_samples >= 5)
  p = np.append(truth.p[single], max(0.0, 1.0 - float(truth.p[single].sum())))
  counts = np.append(drawn[single], num_samples - drawn[single].sum())
  errors = np.append(truth.error[single], math.sqrt(float((truth.error[single] ** 2).sum())))
  # the rest may be empty but for rounding: with one more expected count it weighs little where it is that small
  variance = num_samples * p + (num_samples * errors) ** 2 + np.append(np.zeros(len(p) - 1), 1.0)
  statistic = float(((counts - num_samples * p) ** 2 / variance).sum())
  freedom = max(1, len(p) - 1)
  p_value = float(jax.jit(chi2.sf)(statistic, freedom))
  detail = f"chi-square {statistic:.1f} on {freedom}, p = {p_value:.3g}{truth.missing()}"
  return Claim("samples occur as often as p(x) says", p_value >= LEVEL if single.any() else None, detail)
