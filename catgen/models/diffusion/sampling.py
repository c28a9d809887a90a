"""Ancestral sampling and infilling of diffusion models, in one compiled loop.

Temperature, top-k, top-p and forbidden categories restrict, at every move, the distribution of the clean category of a
position given all of x_t, its own noisy value included: p(x_0 | x_t), proportional to prediction * q(x_t | x_0). The
move is then p(x_s | x_t) = sum_x0 p(x_0 | x_t) q(x_s | x_t, x_0) with what is left of it, which at s = 0 is that
distribution itself: a sample has no forbidden category. A state on the way may, since noise has all of them.
Restricting the prediction instead, which comes from the other positions only, would decide each position anew at every
move, and all at once at the last one. Where a position is masked, its own value says nothing, and both are the same.

Temperature 0 takes the most probable clean category; x_T and the moves are drawn as before, so that samples differ.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.chains import Chain, Observed
from catgen.distributions import categorical
from catgen.interfaces import Infill, InputError, PyTree, SampleOptions, Samples
from catgen.keys import fold_in
from catgen.meshes import spread
from catgen.models.diffusion.chain import check_options, frames_of
from catgen.models.diffusion.correction import corrected
from catgen.models.diffusion.guidance import predict_guided
from catgen.models.diffusion.spec import Spec
from catgen.models.diffusion.unmasking import draw
from catgen.processes.levels import Span
from catgen.processes.schedules import sampled, spans

CONTINUOUS_STEPS = 256  # default number of steps where the model itself has none


class Moves(NamedTuple):
  """The moves of a sampler, noise first: noise levels, the time the network is told, a number, the frame to store."""

  span: Span
  time: Float[np.ndarray, "moves"]
  number: Int[np.ndarray, "moves"]
  frame: Int[np.ndarray, "moves"]  # slot of the chain after the move; the last slot is a dummy


def moves_of(spec: Spec, options: SampleOptions) -> Moves:
  """Returns the moves from noise to data. Raises InputError if there cannot be so many."""
  default = spec.num_steps or CONTINUOUS_STEPS
  num_moves = default if options.num_steps is None else options.num_steps
  if spec.num_steps:
    if not 1 <= num_moves <= spec.num_steps:
      raise InputError(f"num_steps is {num_moves}, but this model has T = {spec.num_steps}; use 1 to {spec.num_steps}")
    times = np.round(np.linspace(0, spec.num_steps, num_moves + 1)).astype(int)
    table, told = spec.table, (times[1:] - 1) / spec.num_steps
  else:
    if num_moves < 1:
      raise InputError(f"num_steps is {num_moves}; use at least 1")
    times = np.arange(num_moves + 1)
    grid = times / num_moves
    table, told = sampled(spec.schedule.keep, spec.schedule.lost, grid), grid[1:]
  backwards: Span = jax.tree.map(lambda values: values[::-1].copy(), spans(table, times))
  return Moves(backwards, told[::-1].astype(np.float32), np.arange(num_moves), frames_of(num_moves, options.num_frames))


def sample(
  spec: Spec,
  params: PyTree,
  keys: Key[Array, "batch"],
  *,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
  options: SampleOptions,
) -> Samples:
  """See `Model.sample`. Takes `options.num_steps` evenly spaced ones of the T steps, all of them by default."""
  if options.order is not None:
    nothing = jnp.zeros((len(keys), *spec.event.shape), jnp.int32)
    return draw(spec._replace(given=given), params, nothing, nothing != 0, keys, options)
  return _run(spec._replace(given=given), params, keys, options, None)


def make_chain(spec: Spec) -> Chain:
  """Returns the sampler, some moves at a time; a carry is the state x_t."""
  return Chain(
    lambda options: len(moves_of(spec, options).number), partial(_begin, spec), partial(_go_on, spec), _state
  )


def _begin(
  spec: Spec,
  params: PyTree,
  keys: Key[Array, "batch"],
  *,
  pattern: Observed | None = None,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
  options: SampleOptions,
) -> Array:
  """See `Chain.start`."""
  check_options(options, spec.process.num_classes)
  categorical.check_guidance(options, given)
  if options.order is not None:
    raise InputError(f"order {options.order!r} has no chain that can be watched; leave order out")
  return _noise(spec, keys, options, pattern)


def _go_on(
  spec: Spec,
  params: PyTree,
  carry: Array,
  keys: Key[Array, "batch"],
  first: Int[Array, ""],
  last: Int[Array, ""],
  *,
  pattern: Observed | None = None,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
  options: SampleOptions,
) -> Array:
  """See `Chain.moves`."""
  moves, move = _mover(spec._replace(given=given), params, keys, options, pattern)
  table = jax.tree.map(jnp.asarray, moves)
  return jax.lax.fori_loop(first, last, lambda i, x_t: move(x_t, jax.tree.map(lambda v: v[i], table)), spread(carry))


def _state(carry: Array) -> Array:
  """See `Chain.shown`."""
  return carry


def _noise(spec: Spec, keys: Key[Array, "batch"], options: SampleOptions, pattern: Observed | None) -> Array:
  """Returns x_T: noise, and what is observed of it, as it is where that is never noisy, else with its own noise."""
  x_last = spec.process.prior_sample(fold_in(fold_in(keys, 0), 0), spec.event.shape)  # keys apart from those of moves
  if pattern is None:
    return spread(x_last)
  known = pattern.x
  if not spec.process.exact_clamping:
    first = jax.tree.map(lambda values: jnp.asarray(values[0]), moves_of(spec, options).span.t)
    known = spec.process.corrupt(fold_in(keys, 2), pattern.x, first)
  return spread(jnp.where(pattern.observed, known, x_last))


def _mover(
  spec: Spec, params: PyTree, keys: Key[Array, "batch"], options: SampleOptions, pattern: Observed | None
) -> tuple[Moves, Callable[[Array, Any], Array]]:
  """Returns the moves of the reverse chain, and (x_t, a move) -> x_s."""
  moves = moves_of(spec, options)
  last_number = len(moves.number) - 1
  # what is revealed stays by itself
  held = None if spec.process.exact_clamping and not options.correction else pattern

  def move(x_t: Array, inputs: Any) -> Array:
    span, time = inputs.span, jnp.broadcast_to(inputs.time, keys.shape)
    log_x0 = predict_guided(spec, params, x_t, time, options)
    allowed = _restricted(spec, x_t, log_x0, span, options)
    log_p = spec.process.predictive(x_t, allowed, span)
    if spec.literal_last_step:
      log_p = jnp.where(inputs.number == last_number, categorical.restrict(log_x0, options), log_p)
    if options.correction:
      log_p = corrected(spec.process, x_t, allowed, log_p, span, options.correction)
    if held is not None:
      log_p = jnp.where(held.observed[..., None], spec.process.posterior(x_t, held.x, span), log_p)
    return spread(categorical.sample_each(fold_in(fold_in(keys, 1), inputs.number), log_p).astype(x_t.dtype))

  return moves, move


def _run(
  spec: Spec,
  params: PyTree,
  keys: Key[Array, "batch"],
  options: SampleOptions,
  pattern: Observed | None,
) -> Samples:
  """Runs the reverse chain from x_T to the end."""
  check_options(options, spec.process.num_classes)
  categorical.check_guidance(options, spec.given)
  x_last, (moves, move) = _noise(spec, keys, options, pattern), _mover(spec, params, keys, options, pattern)
  frames = jnp.broadcast_to(x_last, (options.num_frames + 1, *x_last.shape))

  def step(carry: tuple[Array, Array], inputs: Any) -> tuple[tuple[Array, Array], None]:
    x_s = move(carry[0], inputs)
    return (x_s, jax.lax.dynamic_update_index_in_dim(carry[1], x_s, inputs.frame, 0)), None

  (x, chain), _ = jax.lax.scan(step, (x_last, frames), jax.tree.map(jnp.asarray, moves))
  return Samples(x, jnp.ones(x.shape, bool), chain[:-1] if options.num_frames else None)


def _restricted(
  spec: Spec,
  x_t: Int[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  span: Span,
  options: SampleOptions,
) -> Float[Array, "batch *event classes"]:
  """Returns the prediction with which the clean category given x_t is distributed as the options restrict it."""
  if not categorical.restricts(options):
    return log_x0
  if spec.process.exact_clamping:  # drawn where x_t is masked, which says nothing
    return jax.nn.log_softmax(categorical.restrict(log_x0, options))
  own = spec.process.likelihood(x_t, span.t)
  left = categorical.restrict(log_x0 + own, options)
  return jax.nn.log_softmax(jnp.where(jnp.isneginf(left), -jnp.inf, left - own))  # also where a column lacks it


def make_infill(spec: Spec) -> Infill:
  """Returns the infilling capability: exact for masked diffusion, an approximation for uniform diffusion."""
  if spec.process.exact_clamping:
    explanation = (
      "exact for masked diffusion in the order 'observed positions first', which is one of the orders that the model is"
      " trained on; positions revealed in the same step are drawn independently, as in sampling"
    )
    return Infill(partial(_infill, spec), True, explanation)
  explanation = (
    "an approximation for uniform diffusion: observed positions follow their own noise process, and the others are not"
    " reweighted by how well they explain it"
  )
  return Infill(partial(_infill, spec), False, explanation)


def _infill(
  spec: Spec,
  params: PyTree,
  x: Array,
  observed: Bool[Array, "batch *event"],
  keys: Array,
  *,
  given: Array | None = None,
  state: PyTree,
  options: Any,
) -> Samples:
  """See `Infill.draw`. Observed positions are revealed before all others and stay; where the process has no masks they
  follow q(x_s | x_t, x), so that the network sees the noise it was trained on."""
  if options.order is not None:
    return draw(spec._replace(given=given), params, x, observed, keys, options)
  return _run(spec._replace(given=given), params, keys, options, Observed(x, observed))
