"""A sampler's way from noise to samples, some moves at a time: so that its states can be watched, and it can be left.

The draws are those that `Model.sample` and `Infill.draw` make in one call, by the same keys.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.interfaces import InputError, Model, PyTree, SampleOptions

MOST_FRAMES = 10_000  # of a chain, each of the size of all samples


class Observed(NamedTuple):
  """What is known of the examples that a chain completes."""

  x: Int[Array, "batch *event"]  # anything where not observed
  observed: Bool[Array, "batch *event"]


class ChainStartFn(Protocol):
  """Returns the carry before the first move, arrays [batch, ...]; pattern: what is completed, None = nothing is."""

  def __call__(
    self,
    params: PyTree,
    keys: Key[Array, "batch"],
    /,
    *,
    pattern: Observed | None = None,
    given: Int[Array, "batch attributes"] | None = None,
    state: PyTree,
    options: SampleOptions,
  ) -> PyTree: ...


class ChainMovesFn(Protocol):
  """Returns the carry after moves first .. last - 1, numbered from 0: traced numbers, so that one program does all."""

  def __call__(
    self,
    params: PyTree,
    carry: PyTree,
    keys: Key[Array, "batch"],
    first: Int[Array, ""],
    last: Int[Array, ""],
    /,
    *,
    pattern: Observed | None = None,
    given: Int[Array, "batch attributes"] | None = None,
    state: PyTree,
    options: SampleOptions,
  ) -> PyTree: ...


class Chain(NamedTuple):
  """How a sampler moves. `SampleOptions.order` and `num_frames` are not for it: refuse the one, leave out the other."""

  num_moves: Callable[[SampleOptions], int]  # network calls; raises InputError for options out of range
  start: ChainStartFn
  moves: ChainMovesFn
  shown: Callable[[PyTree], Int[Array, "batch *event"]]  # (carry): a state; K and above where nothing is drawn yet


class Reverse(NamedTuple):
  """What a chain from noise to data is made of, without its sampler: for the law of its draws on a small space.

  A time is a step in 0..T, or in continuous time (T = 0) a number in [0, 1]; 0 is data, and s < t. Of step t the
  network is told (t - 1) / T, in continuous time t itself. `params` are those of the model.
  """

  num_states: int  # of a position: K, or K + 1 with a mask, which is state K
  num_steps: int  # T
  default_moves: int  # of the sampler
  literal_last_step: bool  # the last move draws from the prediction alone
  learned: bool  # the noise depends on parameters
  # (params, x_t, what is told of the time [batch], given=, state=) -> log p(x^d | the other positions of x_t) and a
  # constant, [batch, *event, K]
  predictions: Callable[..., Array]
  marginal: Callable[..., Array]  # (params, x, t) -> log q(x_t | x), [batch, *event, states]; t: [batch], on the host
  posterior: Callable[..., Array]  # (params, x_t, x, s, t) -> log q(x_s | x_t, x), NaN where x_t cannot come from x
  log_prior: Callable[..., Float[Array, "batch *event"]]  # (x_T) -> log p(x_T)
  # the same model with predictions that are a function of (x_t, what is told of the time, given)
  with_predictions: Callable[[Callable[..., Array]], Model]


def check_frames(options: SampleOptions) -> None:
  """Raises InputError where no chain has so many states."""
  if not (options.num_frames == 0 or 2 <= options.num_frames <= MOST_FRAMES):
    raise InputError(
      f"num_frames is {options.num_frames}; use 0 for no chain, or at least 2 (noise and sample) and at most"
      f" {MOST_FRAMES:,}"
    )


def shown_after(num_moves: int, num_frames: int) -> Int[np.ndarray, "frames"]:
  """Returns after how many moves each frame shows its state: spread evenly from none to all.

  With more frames than states the first state is shown several times.

  Example:
    >>> shown_after(4, 3), shown_after(1, 3)
    (array([0, 2, 4]), array([0, 0, 1]))
  """
  states = np.unique(np.round(np.linspace(0, num_moves, num_frames)).astype(int))
  return np.concatenate([np.zeros(num_frames - len(states), int), states])


def drawn_in_turn(
  x: Int[Array, "batch *event"], turn: Int[Array, "batch *event"], num_moves: int, num_frames: int, num_classes: int
) -> Int[Array, "frames batch *event"] | None:
  """Returns the states of a sampler that draws each position once, K where nothing is drawn yet.

  Args:
    x: what was drawn.
    turn: the number of the move, from 1, that drew a position; 0 = it was observed.
    num_moves: of the sampler.
    num_frames: of the chain; 0: None is returned.
    num_classes: K.
  """
  if num_frames == 0:
    return None
  after = shown_after(num_moves, num_frames).reshape(-1, *(1,) * x.ndim)
  return jnp.where(turn[None] <= after, x[None], num_classes)
