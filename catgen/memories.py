"""What a model's memory is, which goes from one part of a stream to the next."""

from typing import NamedTuple, Protocol

from jaxtyping import Array, Float, Key

from catgen.interfaces import Batch, Bound, PyTree, ReadOptions


class EmptyMemoryFn(Protocol):
  """Returns the memory of examples before which nothing stands, arrays [batch, ...].

  size: positions that it remembers, at least 1; None: as many as in training.
  """

  def __call__(self, params: PyTree, batch_size: int, /, *, size: int | None = None) -> PyTree: ...


class CarriedBoundFn(Protocol):
  """Returns what `BoundFn` does, given the memory of what stands before each example, and that of what stands after it.

  Examples may have any length. Nothing is learned through a memory: no gradient passes it.
  """

  def __call__(
    self,
    params: PyTree,
    batch: Batch,
    memory: PyTree,
    keys: Key[Array, "batch"],
    /,
    *,
    state: PyTree,
    train: bool,
    strata: Float[Array, "batch"] | None = None,
    options: ReadOptions,
  ) -> tuple[Bound, PyTree]: ...


class Carry(NamedTuple):
  """A memory that goes from each example to the one that continues it, where streams are read on."""

  empty: EmptyMemoryFn
  bound: CarriedBoundFn  # exact where the model's `log_prob` is
