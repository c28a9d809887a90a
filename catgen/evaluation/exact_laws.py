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
from catgen.evaluation.enumeration import all_states, few
from catgen.interfaces import EventSpec, InputError, Model, PyTree, SampleOptions

MOST_STATES = 1296  # of all positions together; a move is a matrix of as many rows and columns
_AT_ONCE = 4096  # states, each at a time of its own, of which predictions are computed together


class Noise(NamedTuple):
  """The noise of moves from t to s, the one next to the data first."""

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
  own_order = model.orders is None or not model.orders.random  # where a random one is the model's own, it is no reading
  if model.sequential is not None and own_order and options.num_steps is None and not options.correction:
    return _of_reading(model, params, state, options, given)
  raise InputError("no law of such samples is known that could be enumerated")


def _of_reading(
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
      log_p = _raised(log_p, np.asarray(compiled(params, flat, None), np.float64), options.guidance)
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


class States(NamedTuple):
  """All states of a chain, and their law before the first move."""

  x: Int[np.ndarray, "all *event"]
  prior: Float[np.ndarray, "all"]
  num_classes: int
  literal_last_step: bool

  @property
  def flat(self) -> Int[np.ndarray, "all positions"]:
    """Returns the states with their positions in one row."""
    return self.x.reshape(len(self.x), -1)

  def law(
    self, log_x0: Float[np.ndarray, "moves all positions classes"], noise: Noise, options: SampleOptions
  ) -> Float[np.ndarray, "events"]:
    """Returns the law of the data after all moves, with such predictions before each."""
    p, flat = self.prior, self.flat
    for number in reversed(range(len(log_x0))):
      rows = _rows(flat, log_x0[number], Noise(*(each[number] for each in noise)), options, last=number == 0)
      if number == 0 and self.literal_last_step:
        rows = restricted(_normalized(log_x0[0]), options)
      p = _moved(p, rows, flat)
    return p[(flat < self.num_classes).all(axis=1)]


def states_of(reverse: Reverse, event: EventSpec) -> States:
  """Returns all states. Raises InputError where there are too many."""
  size = math.prod(event.shape)
  if not few(reverse.num_states, size, MOST_STATES):
    raise InputError(f"{reverse.num_states}^{size} states are too many to enumerate: at most {MOST_STATES} are")
  x = all_states(reverse.num_states, event.shape)
  log_prior = np.asarray(jax.jit(reverse.log_prior)(x), np.float64).reshape(len(x), -1)
  return States(x, np.exp(log_prior.sum(axis=1)), event.num_classes, reverse.literal_last_step)


def _of_chain(
  model: Model,
  reverse: Reverse,
  params: PyTree,
  state: PyTree,
  options: SampleOptions,
  given: Int[np.ndarray, "labels attributes"] | None,
) -> Float[np.ndarray, "labels events"]:
  states = states_of(reverse, model.event)
  ends, told = times_of(reverse, options)
  noise = noise_of(reverse, params, model.event, ends[:-1], ends[1:])
  predicted = _guided(reverse, params, state, states.x, told, options, given)
  return np.stack([states.law(of_label, noise, options) for of_label in predicted])


def _rows(
  flat: Int[np.ndarray, "all positions"],
  log_x0: Float[np.ndarray, "all positions classes"],
  noise: Noise,
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


def noise_of(
  reverse: Reverse, params: PyTree, event: EventSpec, s: Float[np.ndarray, "moves"], t: Float[np.ndarray, "moves"]
) -> Noise:
  """Returns what the noise does to each position in moves from times t to s, see `Reverse`."""
  moves, states, num_classes = len(s), reverse.num_states, event.num_classes
  times = np.concatenate([s, t])
  number, x = (each.reshape(-1) for each in np.meshgrid(np.arange(2 * moves), np.arange(num_classes), indexing="ij"))
  at = times[number]
  marginal = jax.jit(lambda params, x: reverse.marginal(params, x, at))
  log_q = np.asarray(marginal(params, _filled(x, event.shape)), np.float64)
  levels = np.exp(log_q).reshape(2 * moves, num_classes, -1, states).swapaxes(1, 2)
  grid = np.meshgrid(np.arange(moves), np.arange(states), np.arange(num_classes), indexing="ij")
  number, x_t, x = (each.reshape(-1) for each in grid)
  begin, end = t[number], s[number]
  posterior = jax.jit(lambda params, x_t, x: reverse.posterior(params, x_t, x, end, begin))
  log_q = np.asarray(posterior(params, _filled(x_t, event.shape), _filled(x, event.shape)), np.float64)
  back = np.nan_to_num(np.exp(log_q)).reshape(moves, states, num_classes, -1, states).transpose(0, 3, 1, 2, 4)
  back = back / np.maximum(back.sum(axis=-1, keepdims=True), 1e-300)  # of float32
  return Noise(levels[:moves], levels[moves:], back)


def _filled(values: Int[np.ndarray, "..."], shape: tuple[int, ...]) -> Int[np.ndarray, "values *event"]:
  """Returns events all of whose positions are the same."""
  return np.broadcast_to(values.reshape(-1, *(1,) * len(shape)), (values.size, *shape)).astype(np.int32)


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
    found = _raised(found, said(None)[None], strength)
  return found


def _raised(
  log_given: Float[np.ndarray, "*batch classes"],
  log_not_given: Float[np.ndarray, "*same classes"],
  strength: Float[np.ndarray, "..."] | float,
) -> Float[np.ndarray, "*batch classes"]:
  """Returns log of p(x | y)^strength p(x)^(1 - strength) and a constant; what there is not stays impossible."""
  with np.errstate(invalid="ignore"):
    return np.where(np.isneginf(log_given), -np.inf, strength * log_given + (1 - strength) * log_not_given)


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
