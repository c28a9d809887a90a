"""Autoregressive models: p(x) = prod_d p(x_d | x_1..x_(d-1)), exact, with a causal network.

Events of any shape are read in row-major order. It is the reference row of every comparison (the paper's Table 3).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.batches import scored_positions, seen
from catgen.chains import Chain, Observed, check_frames, drawn_in_turn
from catgen.distributions import categorical
from catgen.events import sum_valid
from catgen.interfaces import (
  Batch,
  Bound,
  EventSpec,
  Infill,
  InputError,
  Model,
  PyTree,
  ReadOptions,
  SampleOptions,
  Samples,
)
from catgen.kinds import Recipe
from catgen.memories import Carry
from catgen.meshes import spread
from catgen.models.adapter import Functional, functional
from catgen.models.auxiliary import Auxiliary, auxiliary_bound, of_logits
from catgen.models.rules import check_order
from catgen.models.updates import count_update, no_updates
from catgen.networks.conditions import Conditions
from catgen.networks.roles import Causal
from catgen.orders import OF_ORDERS, Orders, Sequential

_ORDER = "left_to_right"
_REFUSED = ("num_steps", *OF_ORDERS, "guidance_interval", "correction")
_EXPLANATION = "exact: the continuation of an observed prefix is drawn from the model's own conditional distributions"


def autoregressive(event: EventSpec, *, network: Recipe, auxiliary_steps: int = 0, second_target: float = 0.0) -> Model:
  """Returns an autoregressive model.

  Its `log_prob` is exact, in nats [batch]; its `sample` calls the network once for each position.

  Args:
    event: shape and number of classes of one example.
    network: that predicts each category from those before it, as a `Causal`.
    auxiliary_steps: updates until which layers before the last predict too, by heads of their own, while training: the
      l-th of N layers for the first l / N of them; 0 = none does. A deep transformer learns by it.
    second_target: weight, in training, of a prediction of the category after the next, which each layer that predicts
      makes by another head; 0 = none.

  What training predicts besides enters the objective and no number that is reported.

  Raises:
    InputError: the network does not tell the features of its layers, or a number is negative.

  Reference: Al-Rfou et al. (2019), arXiv:1808.04444, for the auxiliary predictions.
  """
  for name, number in (("auxiliary_steps", auxiliary_steps), ("second_target", second_target)):
    if not 0 <= number < 2**31:
      raise InputError(f"autoregressive: {name} is {number}; it must be at least 0, and less than 2^31")
  k = event.num_classes
  heads = {"intermediate": auxiliary_steps > 0, "second": second_target > 0}
  module = functional(
    lambda rngs: Causal(network, event.shape, k, k, event.given, **heads, sizes=event.sizes, rngs=rngs)
  )
  apply = module.apply
  extra = None
  if any(heads.values()):
    extra = Auxiliary(auxiliary_steps, second_target, module.plan.stack.trunk.num_layers)
  return Model(
    event=event,
    init=partial(_init, module.init, extra),
    bound=partial(_bound, apply, event, extra),
    sample=partial(_sample, apply, event),
    update_state=None if extra is None else count_update,
    log_prob=partial(_log_prob, apply, event),
    log_weight=partial(_log_weight, apply, event),
    infill=Infill(partial(_infill, apply, event), True, _EXPLANATION, prefix_only=True),
    carry=_carry(module, event),
    chain=Chain(
      partial(_num_moves, event), partial(_begin, apply, event), partial(_go_on, apply, event), partial(_shown, event)
    ),
    orders=Orders((_ORDER,), (), 1, partial(_order_log_prob, apply, event), _num_calls),
    # what is invalid is masked where all positions are read at once, and not where each is read after the other
    sequential=None if event.ignores else Sequential(partial(_start, apply, event), partial(_decode, apply), _observe),
  )


def _init(init_network: Callable, extra: Auxiliary | None, batch: Batch, key: Array) -> tuple[PyTree, PyTree]:
  """See `Model.init`."""
  return init_network(key), {} if extra is None else no_updates()


def _log_prob(
  apply: Callable,
  event: EventSpec,
  params: PyTree,
  batch: Batch,
  *,
  state: PyTree,
  keys: Array | None = None,
  of_logits: Callable[[Array, Array], Array] = of_logits,
) -> Float[Array, "batch"]:
  """See `Model.log_prob`. Positions that are not scored are read, as context of those after them, and not counted."""
  conditions = Conditions(valid=seen(event, batch.valid), keys=keys, given=batch.given)
  pieces = categorical.num_pieces(len(batch.x), batch.x[0].size, event.num_classes)
  if pieces == 1:
    nats = of_logits(apply(params, batch.x, conditions), batch.x)
  else:
    nats = apply(params, batch.x, conditions, of_logits, batch.x, pieces=pieces, method="costs")
  return sum_valid(nats, scored_positions(batch))


def _order_log_prob(
  apply: Callable, event: EventSpec, params: PyTree, batch: Batch, *, state: PyTree, options: SampleOptions
) -> Float[Array, "batch"]:
  """See `Orders.log_prob`. The order of the model itself, each position restricted as in sampling."""
  _check(event, options)
  categorical.refuse_options(options, categorical.GUIDANCE, "guided samples have no likelihood here")

  def restricted(logits: Array, x: Array) -> Array:
    return of_logits(categorical.restrict(logits.astype(jnp.float32), options), x)

  return _log_prob(apply, event, params, batch, state=state, of_logits=restricted)


def _num_calls(params: PyTree, batch: Batch, *, state: PyTree, options: SampleOptions) -> Int[Array, "batch"]:
  """See `Orders.num_calls`. One for each position, whether it is valid or not."""
  return jnp.full(len(batch.x), batch.x[0].size, jnp.int32)


def _check(event: EventSpec, options: SampleOptions) -> None:
  """Raises InputError where an option cannot be honored."""
  reason = "an autoregressive model draws one position after the other"
  categorical.refuse_options(options, _REFUSED, reason)
  if options.order is not None:
    check_order(options, (_ORDER,), 1)
  categorical.check_restrictions(options, event.num_classes)
  check_frames(options)


def _bound(
  apply: Callable,
  event: EventSpec,
  extra: Auxiliary | None,
  params: PyTree,
  batch: Batch,
  keys: Key[Array, "batch"],
  *,
  state: PyTree,
  train: bool,
  strata: Float[Array, "batch"] | None = None,
) -> Bound:
  """See `Model.bound`. It is log p(x) itself; nothing is drawn but dropout in training."""
  if train and extra is not None:
    conditions = Conditions(valid=seen(event, batch.valid), keys=keys, given=batch.given)
    return auxiliary_bound(extra, partial(apply, params, method="with_auxiliary"), batch, conditions, state)
  nats = _log_prob(apply, event, params, batch, state=state, keys=keys if train else None)
  return Bound(nats, {"log_prob": nats})


def _carry(module: Functional, event: EventSpec) -> Carry | None:
  """Returns how the model reads streams on, where its network carries a memory."""
  trunk = module.plan.stack.trunk
  if not trunk.abilities.carries or not trunk.memory_length or event.sizes is not None:
    return None
  return Carry(partial(_empty_memory, module.apply), partial(_carried_bound, module.apply, event))


def _empty_memory(apply: Callable, params: PyTree, batch_size: int, *, size: int | None = None) -> PyTree:
  """See `Carry.empty`."""
  return apply(params, batch_size, size, method="empty_memory")


def _carried_bound(
  apply: Callable,
  event: EventSpec,
  params: PyTree,
  batch: Batch,
  memory: PyTree,
  keys: Key[Array, "batch"],
  *,
  state: PyTree,
  train: bool,
  strata: Float[Array, "batch"] | None = None,
  options: ReadOptions,
) -> tuple[Bound, PyTree]:
  """See `Carry.bound`."""
  rows = jax.tree.map(lambda array: array.reshape(len(batch.x), -1), (batch.x, batch.valid, scored_positions(batch)))
  x, valid, scored = rows
  conditions = Conditions(valid=seen(event, valid), keys=keys if train else None, given=batch.given)
  logits, memory = apply(params, x, memory, conditions, options, method="read_on")
  nats = sum_valid(of_logits(logits, x), scored)
  return Bound(nats, {"log_prob": nats}), memory


def _log_weight(
  apply: Callable, event: EventSpec, params: PyTree, batch: Batch, keys: Key[Array, "batch"], *, state: PyTree
) -> Float[Array, "batch"]:
  """See `Model.log_weight`. Without latent variables every draw is log p(x)."""
  return _log_prob(apply, event, params, batch, state=state)


def _sample(
  apply: Callable,
  event: EventSpec,
  params: PyTree,
  keys: Key[Array, "batch"],
  *,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
  options: SampleOptions,
) -> Samples:
  """See `Model.sample`. One cached network call per position, in one compiled scan."""
  nothing = jnp.zeros((keys.shape[0], *event.shape), jnp.int32)
  return _complete(apply, event, params, nothing, jnp.zeros(nothing.shape, bool), keys, given, options)


def _infill(
  apply: Callable,
  event: EventSpec,
  params: PyTree,
  x: Int[Array, "batch *event"],
  observed: Bool[Array, "batch *event"],
  keys: Key[Array, "batch"],
  *,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
  options: SampleOptions,
) -> Samples:
  """See `Infill.draw`."""
  return _complete(apply, event, params, x, observed, keys, given, options)


def _complete(
  apply: Callable,
  event: EventSpec,
  params: PyTree,
  x: Array,
  observed: Array,
  keys: Array,
  given: Array | None,
  options: SampleOptions,
) -> Samples:
  """Draws the positions that are not observed, in order, each from its restricted conditional distribution.

  With guidance a second cache reads on without labels.
  """
  _check(event, options)
  categorical.check_guidance(options, given)
  rows, size = x.reshape(len(x), -1), math.prod(event.shape)
  draw = _drawer(apply, params, Observed(rows, observed.reshape(rows.shape)), keys, given, options)
  _, tokens = jax.lax.scan(draw, _unread(apply, event, params, len(x), options), jnp.arange(size))
  result = tokens.T.reshape(x.shape)
  turn = jnp.where(observed, 0, 1 + jnp.arange(size).reshape(event.shape))
  chain = drawn_in_turn(result, turn, size, options.num_frames, event.num_classes)
  return Samples(result, jnp.ones(result.shape, bool), chain)


def _unread(apply: Callable, event: EventSpec, params: PyTree, batch_size: int, options: SampleOptions) -> Any:
  """Returns what is kept of no position: caches, and a category that stands for the beginning."""
  caches = tuple(apply(params, batch_size, method="init_cache") for _ in range(1 if options.guidance == 1 else 2))
  return caches, jnp.full((batch_size,), event.num_classes, jnp.int32)


def _drawer(
  apply: Callable, params: PyTree, pattern: Observed, keys: Array, given: Array | None, options: SampleOptions
) -> Callable[[Any, Array], tuple[Any, Array]]:
  """Returns (what is kept of the positions before, position) -> the same with this one, and its category."""
  flat_x, flat_observed = spread((pattern.x, pattern.observed))
  labels = (given,) if options.guidance == 1 else (given, None)

  def draw(carry: tuple[Any, Array], position: Array) -> tuple[tuple[Any, Array], Array]:
    caches, previous = carry
    each = [
      apply(params, cache, previous, position, method="decode", given=label)
      for cache, label in zip(caches, labels, strict=True)
    ]
    logits, caches = each[0][0], tuple(cache for _, cache in each)
    if len(each) > 1:
      log_given, log_not_given = (jax.nn.log_softmax(own.astype(jnp.float32)) for own, _ in each)
      logits = categorical.guided(log_given, log_not_given, options.guidance)
    fresh = jax.vmap(lambda key, row: categorical.sample(jax.random.fold_in(key, position), row))(
      keys, categorical.restrict(logits.astype(jnp.float32), options)
    )
    token = spread(jnp.where(flat_observed[:, position], flat_x[:, position], fresh).astype(jnp.int32))
    return (caches, token), token

  return draw


def _num_moves(event: EventSpec, options: SampleOptions) -> int:
  """See `Chain.num_moves`. One for each position."""
  _check(event, options)
  return math.prod(event.shape)


def _begin(
  apply: Callable,
  event: EventSpec,
  params: PyTree,
  keys: Key[Array, "batch"],
  *,
  pattern: Observed | None = None,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
  options: SampleOptions,
) -> Any:
  """See `Chain.start`. Nothing is drawn: all positions have the category K but those that are observed."""
  _check(event, options)
  categorical.check_guidance(options, given)
  drawn = jnp.full((len(keys), math.prod(event.shape)), event.num_classes, jnp.int32)
  if pattern is not None:
    drawn = jnp.where(pattern.observed, pattern.x, event.num_classes).astype(jnp.int32).reshape(drawn.shape)
  return _unread(apply, event, params, len(keys), options), drawn


def _go_on(
  apply: Callable,
  event: EventSpec,
  params: PyTree,
  carry: Any,
  keys: Key[Array, "batch"],
  first: Int[Array, ""],
  last: Int[Array, ""],
  *,
  pattern: Observed | None = None,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
  options: SampleOptions,
) -> Any:
  """See `Chain.moves`."""
  if pattern is None:
    pattern = Observed(jnp.zeros(carry[1].shape, jnp.int32), jnp.zeros(carry[1].shape, bool))
  rows = Observed(*(each.reshape(carry[1].shape) for each in pattern))
  draw = _drawer(apply, params, rows, keys, given, options)

  def move(position: Array, carry: Any) -> Any:
    reading, token = draw(carry[0], position)
    return reading, carry[1].at[:, position].set(token)

  return jax.lax.fori_loop(first, last, move, carry)


def _shown(event: EventSpec, carry: Any) -> Int[Array, "batch *event"]:
  """See `Chain.shown`."""
  return carry[1].reshape(-1, *event.shape)


class _Reading(NamedTuple):
  """What a causal network keeps of the positions before, and the category of the last one."""

  cache: Any
  previous: Int[Array, "batch"]
  given: Int[Array, "batch attributes"] | None


def _start(
  apply: Callable,
  event: EventSpec,
  params: PyTree,
  valid: Bool[Array, "batch *event"],
  *,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
) -> _Reading:
  """See `Sequential.start`."""
  token = jnp.full(len(valid), event.num_classes, jnp.int32)
  return _Reading(apply(params, len(valid), method="init_cache"), token, given)


def _decode(
  apply: Callable, params: PyTree, carry: _Reading, position: Int[Array, ""] | int
) -> tuple[Float[Array, "batch classes"], _Reading]:
  """See `Sequential.log_probs`. One cached call of the network."""
  logits, cache = apply(params, carry.cache, carry.previous, jnp.asarray(position), method="decode", given=carry.given)
  return jax.nn.log_softmax(logits.astype(jnp.float32)), carry._replace(cache=cache)


def _observe(carry: _Reading, position: Int[Array, ""] | int, category: Int[Array, "batch"]) -> _Reading:
  """See `Sequential.observe`."""
  return carry._replace(previous=category.astype(jnp.int32))
