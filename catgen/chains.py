"""A sampler's way from noise to samples, some moves at a time: so that its states can be watched, and it can be left.

The draws are those that `Model.sample` and `Infill.draw` make in one call, by the same keys.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from jaxtyping import Array, Bool, Int, Key

from catgen.interfaces import PyTree, SampleOptions


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
