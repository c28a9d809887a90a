"""The exact law of what a sampler draws, by enumeration in float64: from predictions and noise, not from its code.

A chain goes from noise to data over all its states. At x_t each position has, apart from the others, the law

  p(x_0 | x_t) = restricted to what may be drawn of prediction(x_0 | the other positions) q(x_t | x_0) / Z,
  p(x_s | x_t) = (1 - c) sum_x0 p(x_0 | x_t) q(x_s | x_t, x_0) + c sum_x0 p(x_0 | x_t) q(x_s | x_0)

with the correction c, none of it in the last move; guidance raises predictions to powers first. A model that is read a
position after the other has the product of its restricted predictions.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from catgen.chains import Reverse
from catgen.evaluation.enumeration import all_states
from catgen.interfaces import InputError, Model, PyTree, SampleOptions

MOST_STATES = 1296  # of all positions together; a move is a matrix of as many rows and columns
_AT_ONCE = 4096  # states, each at a time of its own, of which predictions are computed together


class _Noise(NamedTuple):
  """The noise of each move, the one next to the data first."""

  at_s: Float[np.ndarray, "moves positions classes states"]  # q(x_s | x_0)
  at_t: Float[np.ndarray, "moves positions classes states"]
  posterior: Float[np.ndarray, "moves positions states classes states"]  # q(x_s | x_t, x_0), of x_t, x_0, x_s


def of_options(
  model: Model,
  params: PyTree,
  state: PyTree,
  options: SampleOptions,
  given: Int[np.ndarray, "labels attributes"] | None = None,
) -> Float[np.ndarray, "labels events"]:
  """Returns the probability of every event, the last position counting fastest, of what `Model.sample` draws.

  Args:
    model, params, state: what draws.
    options: how; without an order.
    given: labels to draw by, each of which has a law; None: nothing is given.

  Raises:
    InputError: there are too many states, or the law of this family is not known to this module.
  """
  if model.reverse is not None:
    return _of_chain(model, model.reverse, params, state, options, given)
  if model.sequential is not None and options.num_steps is None and not options.correction:
    return of_reading(model, params, state, options, given)
  raise InputError("no law of such samples is known that could be enumerated")


def of_reading(
  model: Model,
  params: PyTree,
  state: PyTree,
  options: SampleOptions,
  given: Int[np.ndarray, "labels attributes"] | None = None,
) -> Float[np.ndarray, "labels events"]:
  """Returns the law of positions that are drawn one after the other, from left to right; see `of_options`."""
  sequential, size = model.sequential, math.prod(model.event.shape)
  assert sequential is not None
  x = all_states(model.event.num_classes, model.event.shape)
  flat = x.reshape(len(x), size)

  def read(params: PyTree, flat: Array, given: Array | None) -> Array:
    carry = sequential.start(params, jnp.ones(x.shape, bool), given=given, state=state)
    said = []
    for position in range(size):
      log_p, carry = sequential.log_probs(params, carry, position)
      carry = sequential.observe(carry, position, flat[:, position])
      said.append(log_p)
    return jnp.stack(said, axis=1)

  compiled = jax.jit(read)

  def law(labels: np.ndarray | None) -> np.ndarray:
    log_p = np.asarray(compiled(params, flat, labels), np.float64)
    if options.guidance != 1:
      log_p = options.guidance * log_p + (1 - options.guidance) * np.asarray(compiled(params, flat, None), np.float64)
    p = restricted(_normalized(log_p), options)
    return np.take_along_axis(p, flat[..., None], axis=-1)[..., 0].prod(axis=-1)

  rows = [None] if given is None else [np.tile(row, (len(x), 1)).astype(np.int32) for row in given]
  return np.stack([law(row) for row in rows])


def times_of(reverse: Reverse, options: SampleOptions) -> tuple[Float[np.ndarray, "ends"], Float[np.ndarray, "moves"]]:
  """Returns the times at which moves begin and end, data first, and what the network is told of each move's begin."""
  steps = reverse.num_steps
  number = reverse.default_moves if options.num_steps is None else options.num_steps
  ends = np.arange(number + 1) / number
  if not steps:
    return ends, ends[1:]
  ends = np.round(np.linspace(0, steps, number + 1))
  return ends, (ends[1:] - 1) / steps


def _of_chain(
  model: Model,
  reverse: Reverse,
  params: PyTree,
  state: PyTree,
  options: SampleOptions,
  given: Int[np.ndarray, "labels attributes"] | None,
) -> Float[np.ndarray, "labels events"]:
  shape, num_classes = model.event.shape, model.event.num_classes
  size = math.prod(shape)
  if reverse.num_states**size > MOST_STATES:
    raise InputError(f"{reverse.num_states}^{size} states are too many to enumerate: at most {MOST_STATES} are")
  states = all_states(reverse.num_states, shape)
  flat = states.reshape(len(states), size)
  ends, told = times_of(reverse, options)
  noise = _noise_of(reverse, params, shape, num_classes, ends)
  prior = np.exp(np.asarray(jax.jit(reverse.log_prior)(states), np.float64)).reshape(flat.shape).prod(axis=1)
  predicted = _guided(reverse, params, state, states, told, options, given)
  laws = []
  for of_label in predicted:
    p = prior
    for number in reversed(range(len(told))):
      rows = _rows(flat, of_label[number], _Noise(*(each[number] for each in noise)), options, last=number == 0)
      if number == 0 and reverse.literal_last_step:
        rows = restricted(_normalized(of_label[0]), options)
      p = _moved(p, rows, flat)
    laws.append(p[(flat < num_classes).all(axis=1)])
  return np.stack(laws)


def _rows(
  flat: Int[np.ndarray, "all positions"],
  log_x0: Float[np.ndarray, "all positions classes"],
  noise: _Noise,
  options: SampleOptions,
  *,
  last: bool,
) -> Float[np.ndarray, "all positions states"]:
  """Returns p(x_s | x_t) of each position, for all x_t; zeros where the noise cannot have made x_t."""
  positions = np.arange(flat.shape[1])
  own = noise.at_t[positions[None], :, flat]  # q(x_t | x_0), [all, positions, classes]
  with np.errstate(divide="ignore"):
    clean = restricted(_normalized(log_x0 + np.log(own)), options)
  moved = np.einsum("npk,npks->nps", clean, noise.posterior[positions[None], flat])
  if options.correction and not last:
    moved = (1 - options.correction) * moved + options.correction * np.einsum("npk,pks->nps", clean, noise.at_s)
  return moved


def _moved(
  p: Float[np.ndarray, "all"], rows: Float[np.ndarray, "all positions states"], flat: Int[np.ndarray, "all positions"]
) -> Float[np.ndarray, "all"]:
  """Returns the law of the states after a move in which positions are drawn apart from one another."""
  joint = p[:, None]
  for position in range(flat.shape[1]):
    joint = (joint[:, :, None] * rows[:, position, None, :]).reshape(len(p), -1)
  after = np.zeros(len(p))
  states = rows.shape[-1]  # K where the last move draws clean categories alone
  reached = np.ravel_multi_index(
    np.unravel_index(np.arange(joint.shape[1]), (states,) * flat.shape[1]), (flat.max() + 1,) * flat.shape[1]
  )
  after[reached] = joint.sum(axis=0)
  return after


def _noise_of(
  reverse: Reverse, params: PyTree, shape: tuple[int, ...], num_classes: int, ends: Float[np.ndarray, "ends"]
) -> _Noise:
  """Returns what the noise does to each position in each move."""
  moves, size, states = len(ends) - 1, math.prod(shape), reverse.num_states

  def filled(values: np.ndarray) -> np.ndarray:  # events all of whose positions are the same
    return np.broadcast_to(values.reshape(-1, *(1,) * len(shape)), (values.size, *shape)).astype(np.int32)

  grid = np.meshgrid(np.arange(len(ends)), np.arange(num_classes), indexing="ij")
  times = ends[grid[0].reshape(-1)]
  log_q = jax.jit(lambda params, x: reverse.marginal(params, x, times))(params, filled(grid[1]))
  marginal = np.exp(np.asarray(log_q, np.float64)).reshape(len(ends), num_classes, size, -1).swapaxes(1, 2)
  number, x_t, x = np.meshgrid(np.arange(moves), np.arange(states), np.arange(num_classes), indexing="ij")
  s, t = ends[number.reshape(-1)], ends[number.reshape(-1) + 1]
  log_q = jax.jit(lambda params, x_t, x: reverse.posterior(params, x_t, x, s, t))(params, filled(x_t), filled(x))
  posterior = np.exp(np.asarray(log_q, np.float64))
  posterior = np.nan_to_num(posterior).reshape(moves, states, num_classes, size, -1).transpose(0, 3, 1, 2, 4)
  posterior = posterior / np.maximum(posterior.sum(axis=-1, keepdims=True), 1e-300)  # of float32
  return _Noise(marginal[:-1], marginal[1:], posterior)


def _guided(
  reverse: Reverse,
  params: PyTree,
  state: PyTree,
  states: Int[np.ndarray, "all *event"],
  told: Float[np.ndarray, "moves"],
  options: SampleOptions,
  given: Int[np.ndarray, "labels attributes"] | None,
) -> Float[np.ndarray, "labels moves all positions classes"]:
  """Returns what the network says of all states before each move, guided."""

  some = min(len(told), max(1, _AT_ONCE // len(states)))  # moves at a time
  times = np.pad(told.astype(np.float32), (0, -len(told) % some), mode="edge").reshape(-1, some)
  size = math.prod(states.shape[1:])

  @jax.jit
  def compiled(params: PyTree, x: Array, times: Array, given: Array | None) -> Array:
    labels = None if given is None else jnp.broadcast_to(given, (len(x), len(given)))
    return reverse.predictions(params, x, times, given=labels, state=state)

  def said(labels: np.ndarray | None) -> np.ndarray:
    x = np.tile(states, (some, *(1,) * (states.ndim - 1)))
    parts = [np.asarray(compiled(params, x, each.repeat(len(states)), labels), np.float64) for each in times]
    return np.concatenate(parts).reshape(times.size, len(states), size, -1)[: len(told)]

  rows = [said(None)] if given is None else [said(row.astype(np.int32)) for row in given]
  found = np.stack(rows)
  if options.guidance != 1:
    begin, end = options.guidance_interval
    strength = np.where((begin <= told) & (told <= end), options.guidance, 1.0).reshape(1, -1, 1, 1, 1)
    found = strength * found + (1 - strength) * said(None)[None]
  return found


def _normalized(log_p: Float[np.ndarray, "*batch classes"]) -> Float[np.ndarray, "*batch classes"]:
  """Returns probabilities; zeros where nothing is possible."""
  largest = log_p.max(axis=-1, keepdims=True)
  p = np.exp(log_p - np.where(np.isfinite(largest), largest, 0.0))
  return p / np.maximum(p.sum(axis=-1, keepdims=True), 1e-300)


def restricted(p: Float[np.ndarray, "*batch classes"], options: SampleOptions) -> Float[np.ndarray, "*batch classes"]:
  """Returns probabilities as forbid, temperature, top-k and top-p leave them, in this order, normalized.

  >>> restricted(np.array([0.5, 0.3, 0.2]), SampleOptions(top_p=0.7)).round(3).tolist()
  [0.625, 0.375, 0.0]
  """
  p = np.array(p)
  p[..., list(options.forbid)] = 0.0
  rank = np.argsort(np.argsort(-p, axis=-1, kind="stable"), axis=-1, kind="stable")
  if options.temperature == 0:
    p = np.where(rank == 0, p, 0.0)
  elif options.temperature != 1:
    p = np.where(p > 0, p / np.maximum(p.max(axis=-1, keepdims=True), 1e-300), 0.0) ** (1 / options.temperature)
  if options.top_k is not None:
    p = np.where(rank < options.top_k, p, 0.0)
  p = p / np.maximum(p.sum(axis=-1, keepdims=True), 1e-300)
  if options.top_p < 1:
    order = np.argsort(rank, axis=-1)
    ranked = np.take_along_axis(p, order, axis=-1)
    kept = np.where(np.cumsum(ranked, axis=-1) - ranked < options.top_p, ranked, 0.0)
    p = np.take_along_axis(kept, rank, axis=-1)
  return p / np.maximum(p.sum(axis=-1, keepdims=True), 1e-300)
