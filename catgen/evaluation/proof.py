"""Proves the likelihood of a model on a space that can be enumerated, or shows where it is wrong.

Every statement is a `Claim` that can fail. Statements about random draws are tests: each fails with probability at
most LEVEL where it is true, also where it looks at every event. See `prove`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from catgen.evaluation import claims as stating
from catgen.evaluation import event_probabilities
from catgen.evaluation.claims import Claim
from catgen.evaluation.enumeration import Space, check_size
from catgen.evaluation.event_probabilities import EventProbabilities, mean
from catgen.evaluation.spread import ALONE, Spread
from catgen.interfaces import Model, PyTree, SampleOptions
from catgen.orders import Orders, named, stated

DEFAULT_OPTIONS = SampleOptions()


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
  space = Space(model, params, state, None, num_samples, spread)
  return prove_space(space, key=key, num_draws=num_draws, options=options).by_label[0]


class Proved(NamedTuple):
  """What holds of a model by each label, and of all labels together."""

  by_label: list[list[Claim]]
  together: list[Claim]


def prove_space(space: Space, *, key: Array, num_draws: int = 2000, options: SampleOptions = DEFAULT_OPTIONS) -> Proved:
  """Returns the claims of `prove` about p(x | y) for each label y, and that Bayes' rule finds the labels of samples.

  Args:
    space: the model and its labels, those of a single attribute; its size for "not given".
    key, num_draws, options: see `prove`.

  Raises:
    InputError: see `prove`.
  """
  model = space.model
  check_size(model.event.shape, model.event.num_classes, num_draws)
  keys = jax.random.split(key, 6)
  elbo = space.drawn_of(lambda p, b, k, s: model.bound(p, b, k, state=s, train=False).nats, num_draws)(keys[0])
  full = None
  if model.full_bound is not None:
    full_bound = model.full_bound
    full = space.drawn_of(lambda p, b, k, s: full_bound(p, b, k, state=s)[0].nats, num_draws // 8)(keys[3])
  weights, exact, truths = _truths(space, keys, num_draws)
  counts = None if truths is None else space.counted(keys[2], options)
  found: list[list[Claim]] = []
  for place in range(space.num_labels):
    truth = None if truths is None else truths[place]
    claims = stating.elbo_claims(mean(elbo[:, place]), truth)
    if full is not None:
      claims.append(stating.bounds_agree(mean(elbo[:, place]), mean(full[:, place])))
    if exact is not None and weights is not None:
      claims.append(stating.weights_agree(exact[place], weights[:, place]))
    if weights is not None and truth is not None:
      claims += stating.importance_claims(weights[:, place], truth)
    if truth is not None and counts is not None:
      sums = stating.sums_to_one(truth, counts[place], space.num_samples)
      claims = [sums, *claims, stating.frequencies_agree(truth, counts[place], space.num_samples)]
    found.append(claims)
  if model.orders is not None:
    counted = functools.partial(space.counted, keys[2])
    own = _order_claims(
      model.orders, model.event.num_classes, space.drawn_of, counted, truths, keys[4], space.num_samples
    )
    found = [before + after for before, after in zip(found, own, strict=True)]
  return Proved(found, _bayes(space, truths, counts))


def _bayes(
  space: Space, truths: list[EventProbabilities] | None, counts: Int[np.ndarray, "labels events"] | None
) -> list[Claim]:
  """Returns the claim about the labels of samples, where there are two labels at least."""
  if space.labels is None or truths is None or counts is None:
    return []
  told = np.flatnonzero(space.labels[:, 0] < space.model.event.given[0])
  return [stating.labels_agree([truths[place] for place in told], counts[told])] if len(told) > 1 else []


_Draws = Float[np.ndarray, "draws labels events"]


def _truths(
  space: Space, keys: Array, num_draws: int
) -> tuple[_Draws | None, Float[np.ndarray, "labels events"] | None, list[EventProbabilities] | None]:
  """Returns draws of log-weights, exact log p(x), and p(x) by labels with what is known of it, where there are such."""
  model, weights, exact, truths = space.model, None, None, None
  if model.log_weight is not None:
    log_weight = model.log_weight
    log_weights = space.drawn_of(lambda p, b, k, s: log_weight(p, b, k, state=s), num_draws)
    # two independent sets, so that claim 5 compares independent numbers
    weights, others = log_weights(keys[1]), log_weights(keys[4])
    truths = [event_probabilities.of_weights(others[:, place]) for place in range(space.num_labels)]
    if model.latent is not None:
      # of p(v) so few, that they cannot outvote a wrong log p(v): see `of_both_sides`
      number = min(space.num_samples, num_draws * others.shape[-1] // 8 + 1)
      draw = functools.partial(event_probabilities.draw_latents, model, space.params, space.state, keys[5], number)
      rows = [None] if space.labels is None else list(space.labels)
      truths = [event_probabilities.of_both_sides(others[:, i], *draw(row)) for i, row in enumerate(rows)]
  if model.log_prob is not None:
    log_prob = model.log_prob
    exact = space.drawn_of(lambda p, b, k, s: log_prob(p, b, state=s), 1)(keys[4])[0]
    truths = [event_probabilities.of_log_prob(each) for each in exact]
  return weights, exact, truths


def _order_claims(
  orders: Orders,
  num_classes: int,
  drawn_of: Callable[..., Callable[[Array], np.ndarray]],
  counted: Callable[..., np.ndarray],
  own: list[EventProbabilities] | None,
  key: Array,
  num_samples: int,
) -> list[list[Claim]]:
  """Returns what holds of samples by each order, by labels.

  Args:
    orders, num_classes: of the model.
    drawn_of: (function, number) -> key -> what it gives of every event, [draws, labels, events].
    counted: (options) -> how often each event is drawn, [labels, events].
    own: p(x) of the model, which random orders follow.
  """
  found: list[list[Claim]] = []
  for law in _laws(orders, num_classes):
    log_prob = functools.partial(orders.log_prob, options=law)
    exact = drawn_of(lambda p, b, k, s, log_prob=log_prob: log_prob(p, b, state=s), 1)(key)[0]
    found = found or [[] for _ in exact]
    for claims, nats, drawn in zip(found, exact, counted(law), strict=True):
      truth = event_probabilities.of_log_prob(nats)
      both = stating.sums_to_one(truth, drawn, num_samples), stating.frequencies_agree(truth, drawn, num_samples)
      claims += [claim._replace(name=f"{named(stated(law))}: {claim.name}") for claim in both]
  for law in [SampleOptions(order=name) for name in orders.random]:
    if own is not None:
      for claims, truth, drawn in zip(found, own, counted(law), strict=True):
        claim = stating.frequencies_agree(truth, drawn, num_samples)
        claims.append(claim._replace(name=f"order {law.order}: {claim.name}"))
  return found


def _laws(orders: Orders, num_classes: int) -> list[SampleOptions]:
  """Returns the orders as they are, and the first one restricted, with two positions a call where there are such."""
  restricted = SampleOptions(order=orders.names[0], temperature=0.7, top_k=min(2, num_classes))
  halves = tuple(size for size in (orders.most_together // 2, -(-orders.most_together // 2)) if size)
  own: dict[str, dict[str, Any]] = {"entropy_budget": {"entropy_budget": 0.5}, "blocks": {"blocks": halves}}
  plain = [SampleOptions(order=name, **own.get(name, {})) for name in orders.names]
  return [*plain, restricted._replace(positions_per_call=min(2, orders.most_together))]
