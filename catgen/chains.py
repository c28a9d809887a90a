"""A sampler's way from noise to samples, some moves at a time: so that its states can be watched, and it can be left.

The draws are those that `Model.sample` and `Infill.draw` make in one call, by the same keys.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from jaxtyping import Array, Bool, Float, Int, Key

from catgen.interfaces import Model, PyTree, SampleOptions


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
