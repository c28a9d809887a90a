"""Masked diffusion models, one unmasking after another: orders chosen before drawing, with exact likelihoods.

A call of the network predicts every masked position from the visible ones; the order says which of them are drawn
then, each by itself. A deterministic order is a function of what is visible, so that each x has one path and

    p(x) = product over the calls, over the positions d that are drawn in it, of prediction(x^d | visible before it),

with the predictions as temperature, top-k, top-p and forbidden categories restrict them: the sum over all x is one,
also where several positions are drawn together. Orders look at the predictions as they are, unrestricted.

The network is told the time at which as large a share of the positions is masked: 1 - alpha_bar(t) = masked / valid;
in discrete time the step that is nearest to it.

The order "first_hitting" is the process itself in continuous time: given what is lost, 1 - alpha_bar(t), and n masked
positions, the next one is uncovered when u^(1/n) of it are left, at a position chosen uniformly. So its law is the mean
over orders and times that `order_log_weight` draws from; no step is too long. One call for each position.

Reference: Zheng et al. (2024), arXiv:2409.02908, section 4; Hoogeboom et al. (2022), arXiv:2110.02037, for several
positions of a call.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.distributions import categorical
from catgen.events import sum_valid
from catgen.interfaces import Batch, InputError, PyTree, SampleOptions, Samples
from catgen.keys import fold_in
from catgen.meshes import spread
from catgen.models.diffusion.chain import check_options, frames_of
from catgen.models.diffusion.counted import masks
from catgen.models.diffusion.guidance import predict_guided
from catgen.models.diffusion.spec import Spec, for_batch, predict, step_time
from catgen.models.diffusion.weights import inverse_lost
from catgen.models.rules import FIRST_HITTING, RULES, check_order, of_rank
from catgen.orders import Orders
from catgen.processes.schedules import levels


class _Walk(NamedTuple):
  """An unmasking under way."""

  x: Int[Array, "batch *event"]  # the mask, K, where nothing is known
  masked: Bool[Array, "batch *event"]  # positions that are still to be drawn
  lost: Float[Array, "batch"]  # 1 - alpha_bar at the last call
  nats: Float[Array, "batch"]  # log p of what was drawn
  calls: Int[Array, "batch"]  # that drew something of the example
  number: Int[Array, ""]  # calls so far
  chain: Int[Array, "frames batch *event"] | None


def make_orders(spec: Spec) -> Orders:
  """Returns the orders of a masked model."""
  random = () if spec.num_steps else (FIRST_HITTING,)
  most = math.prod(spec.event.shape)
  return Orders(
    tuple(RULES), random, most, partial(log_prob, spec), partial(num_calls, spec), partial(masked_losses, spec)
  )


def log_prob(
  spec: Spec, params: PyTree, batch: Batch, *, state: PyTree, options: SampleOptions
) -> Float[Array, "batch"]:
  """See `Orders.log_prob`. -inf where the restrictions leave an x no probability."""
  return _walk_to(spec, params, batch, options).nats


def num_calls(
  spec: Spec, params: PyTree, batch: Batch, *, state: PyTree, options: SampleOptions
) -> Int[Array, "batch"]:
  """See `Orders.num_calls`."""
  return _walk_to(spec, params, batch, options).calls


def masked_losses(
  spec: Spec,
  params: PyTree,
  batch: Batch,
  keys: Key[Array, "batch"],
  *,
  state: PyTree,
  counts: Int[Array, "counts"],
) -> Float[Array, "batch counts"]:
  """See `Orders.losses`. A network call for each number, which is told the share of masks as in a walk."""
  spec = for_batch(spec, batch)
  there = jnp.maximum(count(batch.valid), 1)

  def nats(number: Array) -> Array:
    scores = jax.vmap(lambda key: jax.random.uniform(key, batch.x.shape[1:]))(fold_in(keys, number))
    uniforms = jnp.broadcast_to((number - 0.5) / batch.x[0].size, keys.shape)
    masked, _, _ = masks(uniforms, scores, batch.valid)
    masks_of_each = jnp.maximum(count(masked), 1)
    x_t = jnp.where(masked, spec.process.num_classes, batch.x)
    log_x0 = predict(spec, params, x_t, time_of(spec, masks_of_each / there), batch.valid)
    return -sum_valid(categorical.take(log_x0, batch.x), masked) / masks_of_each

  return jax.lax.map(nats, counts).T


def _walk_to(spec: Spec, params: PyTree, batch: Batch, options: SampleOptions) -> _Walk:
  """Returns the walk to the examples of a batch."""
  spec = for_batch(spec, batch)
  check(spec, options, exact=True)
  start = jnp.full_like(batch.x, spec.process.num_classes)
  return _unmask(spec, params, start, batch.valid, batch.valid, options, lambda log_p, number: batch.x)


def draw(
  spec: Spec,
  params: PyTree,
  x: Int[Array, "batch *event"],
  observed: Bool[Array, "batch *event"],
  keys: Key[Array, "batch"],
  options: SampleOptions,
) -> Samples:
  """Returns examples that are x where observed, the other positions drawn by `options.order`, observed ones first."""
  check(spec, options)
  masked = spread(~observed)
  x = spread(jnp.where(observed, x, spec.process.num_classes).astype(jnp.int32))

  def categories(log_p: Array, number: Array) -> Array:
    return categorical.sample_each(fold_in(fold_in(keys, 1), number), log_p)

  found = _unmask(spec, params, x, masked, None, options, categories, keys)
  chain = None if found.chain is None else found.chain[:-1]
  return Samples(found.x, jnp.ones(found.x.shape, bool), chain)


def check(spec: Spec, options: SampleOptions, *, exact: bool = False) -> None:
  """Raises InputError where an option cannot be honored; exact: where p(x) of the order is not exact either."""
  if not spec.process.exact_clamping:
    raise InputError(
      f"order {options.order!r}: only masked models draw a position once; this process redraws all of them at every "
      "step, leave order out"
    )
  names = tuple(RULES) if exact or spec.num_steps else (*RULES, FIRST_HITTING)
  if options.order == FIRST_HITTING and spec.num_steps:
    raise InputError(f"order {FIRST_HITTING!r} is of continuous time, and this model has T = {spec.num_steps} steps")
  check_order(options, names, math.prod(spec.event.shape))
  check_options(options, spec.process.num_classes)
  categorical.check_guidance(options, spec.given)
  categorical.refuse_options(options, ("num_steps", "correction"), f"order {options.order!r} says what each call draws")
  if exact:
    categorical.refuse_options(options, categorical.GUIDANCE, "guided samples have no likelihood here")
  if options.order == "entropy_budget":
    categorical.refuse_options(options, ("num_frames",), "how many calls order 'entropy_budget' takes is not known")


def _unmask(
  spec: Spec,
  params: PyTree,
  x: Int[Array, "batch *event"],
  masked: Bool[Array, "batch *event"],
  valid: Bool[Array, "batch *event"] | None,
  options: SampleOptions,
  categories: Callable[[Array, Array], Array],
  keys: Key[Array, "batch"] | None = None,
) -> _Walk:
  """Returns the end of a walk by `options.order`; categories(log p, number of the call) are those of all positions."""
  size, random = x[0].size, options.order == FIRST_HITTING
  total = jnp.maximum(count(jnp.ones(x.shape, bool) if valid is None else valid), 1)
  rule = None if random else RULES[options.order or ""]
  slots = frames_of(len(options.blocks) or -(-size // options.positions_per_call), options.num_frames)
  frames = jnp.broadcast_to(x, (options.num_frames + 1, *x.shape)) if options.num_frames else None

  def call(walk: _Walk) -> _Walk:
    flat = chosen = walk.masked.reshape(len(x), size)
    if random:
      assert keys is not None
      chosen, lost = _first_hit(fold_in(fold_in(keys, 2), walk.number), flat, walk.lost)
    else:
      lost = count(walk.masked) / total
    log_x0 = predict_guided(spec, params, walk.x, time_of(spec, lost), options, valid)
    if rule is not None:
      chosen = rule(log_x0.reshape(len(x), size, -1), flat, total, options)
    here = chosen.reshape(x.shape)
    log_p = jax.nn.log_softmax(categorical.restrict(log_x0, options))
    drawn = categories(log_p, walk.number).astype(x.dtype)
    after = spread(jnp.where(here, drawn, walk.x))
    chain = walk.chain
    if chain is not None:
      chain = jax.lax.dynamic_update_index_in_dim(chain, after, jnp.asarray(slots)[walk.number], 0)
    nats = walk.nats + sum_valid(categorical.take(log_p, drawn), here)
    calls = walk.calls + chosen.any(axis=1)
    return _Walk(after, walk.masked & ~here, lost, nats, calls, walk.number + 1, chain)

  lost, nothing = jnp.ones(len(x)), jnp.zeros(len(x))
  start = _Walk(x, masked, lost, nothing, nothing.astype(jnp.int32), jnp.int32(0), frames)
  return jax.lax.while_loop(lambda walk: walk.masked.any(), call, start)


def count(flags: Bool[Array, "batch *event"]) -> Int[Array, "batch"]:
  """Returns how many positions of each example are flagged."""
  return sum_valid(flags.astype(jnp.int32))


def time_of(spec: Spec, lost: Float[Array, "batch"]) -> Float[Array, "batch"]:
  """Returns what the network is told where so much is lost, 1 - alpha_bar."""
  if spec.num_steps == 0:
    return inverse_lost(spec, lost)
  table = jnp.asarray(levels(spec.table).lost[1:])
  return step_time(jnp.argmin(jnp.abs(table[None] - lost[:, None]), axis=1) + 1, spec.num_steps)


def _first_hit(
  keys: Key[Array, "batch"], masked: Bool[Array, "batch length"], lost: Float[Array, "batch"]
) -> tuple[Bool[Array, "batch length"], Float[Array, "batch"]]:
  """Draws the next position to be uncovered, and what is lost then."""
  left = jnp.maximum(count(masked), 1)
  uniforms = jax.vmap(jax.random.uniform)(fold_in(keys, 0))
  ranks = jax.vmap(lambda key, n: jax.random.randint(key, (), 0, n))(fold_in(keys, 1), left)
  return uncovered(masked, lost, uniforms, ranks)


def uncovered(
  masked: Bool[Array, "batch length"],
  lost: Float[Array, "batch"],
  uniforms: Float[Array, "batch"],
  ranks: Int[Array, "batch"],
) -> tuple[Bool[Array, "batch length"], Float[Array, "batch"]]:
  """Returns the next position to be uncovered and what is lost then, of uniform numbers.

  Args:
    masked: n masked positions, whose times are independent, each with P(time <= t) = 1 - alpha_bar(t).
    lost: that probability where the walk is; of the latest of n times it is distributed as lost u^(1/n).
    uniforms: u in [0, 1).
    ranks: which of the masked positions it is, in 0 .. n - 1.
  """
  return of_rank(masked, ranks), lost * uniforms ** (1 / jnp.maximum(count(masked), 1))
