"""Orders in which a model draws positions: rules that choose the next ones before anything is drawn there.

A rule sees the visible categories only through what the network predicts from them, so each x has one path, and p(x)
is a product along it. Choosing among categories that are drawn already (MaskGIT's confidence) follows another law.
"""

import math
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from catgen.distributions import categorical
from catgen.interfaces import InputError, SampleOptions
from catgen.orders import OF_ORDERS

FIRST_HITTING = "first_hitting"  # the process itself: positions one by one, each time any of those left
_TIE = 2.0**-14  # scores nearer than this are equal: rounding, which differs between programs, chooses no position

# (log p of each position, which are masked, how many positions there are) -> which of the masked ones are drawn next
Rule = Callable[
  [Float[Array, "batch length classes"], Bool[Array, "batch length"], Int[Array, "batch"], SampleOptions],
  Bool[Array, "batch length"],
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
  def rule(log_p: Array, masked: Array, total: Array, options: SampleOptions) -> Array:
    return _first(score(log_p), masked, jnp.full(len(masked), options.positions_per_call))

  return rule


def blocks(
  log_p: Float[Array, "batch length classes"],
  masked: Bool[Array, "batch length"],
  total: Int[Array, "batch"],
  options: SampleOptions,
) -> Bool[Array, "batch length"]:
  """Returns the positions of lowest entropy, as many as are left of the block of `options.blocks` that is under way.

  Which block it is says the share of positions that are masked, so that an example of fewer positions has smaller
  blocks, and one of which a part is known begins where it stands. `evaluation.blocks` makes sizes of a loss curve.
  """
  sizes = np.asarray(options.blocks)
  left_after = jnp.asarray(1 - np.cumsum(sizes) / sizes.sum(), jnp.float32)  # share of the masks, after each block
  masks_after = jnp.round(left_after[None] * total[:, None]).astype(jnp.int32)
  left = masked.sum(axis=1)
  after = jnp.where(masks_after < left[:, None], masks_after, 0).max(axis=1)
  return _first(low_entropy(log_p), masked, left - after)


def entropy_budget(
  log_p: Float[Array, "batch length classes"],
  masked: Bool[Array, "batch length"],
  total: Int[Array, "batch"],
  options: SampleOptions,
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


def of_rank(masked: Bool[Array, "batch length"], ranks: Int[Array, "batch"]) -> Bool[Array, "batch length"]:
  """Returns the masked position of each example that has so many masked ones before it."""
  return masked & (jnp.cumsum(masked, axis=1) - 1 == ranks[:, None])


def _first(scores: Array, masked: Array, number: Array) -> Array:
  """Returns the masked positions of the highest scores, so many of each example."""
  ranked = _ranked(scores, masked)
  return _unranked(jnp.arange(ranked.shape[1])[None] < number[:, None], ranked) & masked


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
  "blocks": blocks,
}
_COUNTED = {"entropy_budget": "nats, not positions", "blocks": "the positions of each call by itself"}


def check_order(options: SampleOptions, names: Sequence[str], most: int) -> None:
  """Raises InputError where the order, or what belongs to one, is unknown, out of range, or does not go together.

  Args:
    options: `order`, `positions_per_call`, `entropy_budget` and `blocks` count.
    names: orders that the model has.
    most: positions that it can draw together.
  """
  order, together, budget = options.order, options.positions_per_call, options.entropy_budget
  if order is None or order not in names:
    raise InputError(f"this model has no order {order!r}; it has: {', '.join(names)}")
  if order not in RULES:
    reason = f"order {order!r} draws one position after the other"
    categorical.refuse_options(options, OF_ORDERS, reason)
  else:
    others = [name for name in OF_ORDERS if name != (order if order in _COUNTED else "positions_per_call")]
    reason = f"order {order!r} counts {_COUNTED.get(order, 'positions, not nats')}"
    categorical.refuse_options(options, others, reason)
  if order == "blocks" and (min(options.blocks, default=0) < 1 or sum(options.blocks) != most):
    raise InputError(
      f"blocks are {', '.join(map(str, options.blocks)) or 'not given'}; give numbers from 1 on that add up to the"
      f" {most} positions of an example, or --num_calls, which finds them"
    )
  if not 1 <= together <= most:
    raise InputError(f"positions_per_call is {together}; this model draws 1 to {most} together")
  if not 0 <= budget < math.inf:
    raise InputError(f"entropy_budget is {budget}; it must be a number of nats, at least 0")
