"""Orders in which a model draws positions: rules that choose the next ones before anything is drawn there.

A rule sees the visible categories only through what the network predicts from them, so each x has one path, and p(x)
is a product along it. Choosing among categories that are drawn already (MaskGIT's confidence) follows another law.
"""

import math
from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from catgen.distributions import categorical
from catgen.interfaces import InputError, SampleOptions

_TIE = 2.0**-14  # scores nearer than this are equal: rounding, which differs between programs, chooses no position

Rule = Callable[
  [Float[Array, "batch length classes"], Bool[Array, "batch length"], SampleOptions], Bool[Array, "batch length"]
]


def left_to_right(log_p: Float[Array, "batch length classes"]) -> Float[Array, "batch length"]:
  """Returns scores that fall from the first position to the last."""
  return jnp.broadcast_to(-jnp.arange(log_p.shape[1], dtype=jnp.float32), log_p.shape[:2])


def max_probability(log_p: Float[Array, "batch length classes"]) -> Float[Array, "batch length"]:
  """Returns the probability of the most probable category."""
  return jnp.exp(log_p.max(axis=-1))


def margin(log_p: Float[Array, "batch length classes"]) -> Float[Array, "batch length"]:
  """Returns by how much the most probable category is more probable than the next one."""
  first = categorical.indicator(jnp.argmax(log_p, axis=-1), log_p.shape[-1])
  return jnp.exp(log_p.max(axis=-1)) - jnp.exp(jnp.where(first, -jnp.inf, log_p).max(axis=-1))


def low_entropy(log_p: Float[Array, "batch length classes"]) -> Float[Array, "batch length"]:
  """Returns minus the entropy in nats."""
  return -categorical.entropy(log_p)


def _by(score: Callable[[Array], Array]) -> Rule:
  def rule(log_p: Array, masked: Array, options: SampleOptions) -> Array:
    ranked = _ranked(score(log_p), masked)
    chosen = jnp.arange(ranked.shape[1])[None] < options.positions_per_call
    return _unranked(jnp.broadcast_to(chosen, ranked.shape), ranked) & masked

  return rule


def entropy_budget(
  log_p: Float[Array, "batch length classes"], masked: Bool[Array, "batch length"], options: SampleOptions
) -> Bool[Array, "batch length"]:
  """Returns the most positions S of lowest entropy with sum_S H - max_S H <= `options.entropy_budget` nats.

  Drawn together they then lose at most so much: the left side bounds the KL divergence of independent draws.
  Reference: the EB-Sampler, Ben-Hamu et al. (2025), arXiv:2505.24857.
  """
  entropy = categorical.entropy(log_p)
  ranked = _ranked(-entropy, masked)
  ascending = jnp.where(masked, entropy, jnp.inf)
  ascending = jnp.take_along_axis(ascending, ranked, axis=1)
  before = jnp.concatenate([jnp.zeros_like(ascending[:, :1]), jnp.cumsum(ascending, axis=1)[:, :-1]], axis=1)
  return _unranked(before <= options.entropy_budget + _TIE, ranked) & masked


def _ranked(scores: Array, masked: Array) -> Array:
  """Returns positions by falling scores, the first ones of equal scores first, those that are not masked last."""
  rounded = jnp.round(scores / _TIE) * _TIE
  return jnp.argsort(jnp.where(masked, -rounded, jnp.inf), axis=1, stable=True)


def _unranked(chosen: Array, ranked: Array) -> Array:
  """Returns at its place what is said of each position in the order of ranks."""
  return jnp.take_along_axis(chosen, jnp.argsort(ranked, axis=1), axis=1)


RULES: dict[str, Rule] = {
  "left_to_right": _by(left_to_right),
  "max_probability": _by(max_probability),
  "margin": _by(margin),
  "low_entropy": _by(low_entropy),
  "entropy_budget": entropy_budget,
}


def check_order(options: SampleOptions, names: Sequence[str], most: int) -> None:
  """Raises InputError where the order, or what belongs to one, is unknown, out of range, or does not go together.

  Args:
    options: `order`, `positions_per_call` and `entropy_budget` count.
    names: orders that the model has.
    most: positions that it can draw together.
  """
  order, together, budget = options.order, options.positions_per_call, options.entropy_budget
  if order not in names:
    raise InputError(f"this model has no order {order!r}; it has: {', '.join(names)}")
  if order not in RULES:
    reason = f"order {order!r} draws one position after the other"
    categorical.refuse_options(options, ("positions_per_call", "entropy_budget"), reason)
  elif order == "entropy_budget":
    categorical.refuse_options(options, ("positions_per_call",), "order 'entropy_budget' counts nats, not positions")
  else:
    categorical.refuse_options(options, ("entropy_budget",), f"order {order!r} counts positions, not nats")
  if not 1 <= together <= most:
    raise InputError(f"positions_per_call is {together}; this model draws 1 to {most} together")
  if not 0 <= budget < math.inf:
    raise InputError(f"entropy_budget is {budget}; it must be a number of nats, at least 0")
