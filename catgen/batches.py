"""Batches of examples: made, cut, joined, and which of their positions the likelihood counts."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from catgen.interfaces import Batch, EventSpec, HostOrDevice, InputError, PyTree


def batch_of(
  x: Int[HostOrDevice, "batch *event"],
  valid: Bool[HostOrDevice, "batch *event"] | None = None,
  *,
  index: Int[HostOrDevice, "batch"] | None = None,
  given: Int[HostOrDevice, "batch attributes"] | None = None,
) -> Batch:
  """Returns examples as a batch: all positions valid and the examples numbered from 0, unless said otherwise.

  >>> batch_of(np.zeros((2, 3), np.int32)).index
  array([0, 1], dtype=int32)
  """
  valid = np.ones(x.shape, bool) if valid is None else valid
  return Batch(x, valid, np.arange(len(x), dtype=np.int32) if index is None else index, given=given)


def take(batch: Batch, numbers: Int[HostOrDevice, "some"] | slice) -> Batch:
  """Returns some of the examples, with all that belongs to them."""
  return jax.tree.map(lambda array: array[numbers], batch)


def concatenate(batches: Iterable[Batch]) -> Batch:
  """Returns the examples of several batches, on the host; all or none of them have `scored` and `given`."""
  return jax.tree.map(lambda *arrays: np.concatenate(arrays), *batches)


def scored_positions(batch: Batch) -> Bool[HostOrDevice, "batch *event"]:
  """Returns which positions the likelihood counts: the valid ones, less those that are context only."""
  return batch.valid if batch.scored is None else batch.valid & batch.scored


def seen(
  event: EventSpec, valid: Bool[HostOrDevice, "batch *event"] | None
) -> Bool[HostOrDevice, "batch *event"] | None:
  """Returns which positions a network sees, None = all: of examples that are not there too, if others are whole."""
  return None if event.whole else valid


def begun(memory: PyTree, empty: PyTree, continues: Bool[HostOrDevice, "batch"]) -> PyTree:
  """Returns what models read on from: their memory of the examples before, and that of nothing where a stream begins.

  Args:
    memory: arrays [batch, ...].
    empty: the same of one example.
    continues: of the batch.
  """
  return jax.tree.map(
    lambda kept, none: jnp.where(continues.reshape(-1, *(1,) * (kept.ndim - 1)), kept, none), memory, empty
  )


def refuse_scored(batch: Batch, family: str) -> None:
  """Raises InputError where some positions are context: what a family without an order of positions calls first."""
  if batch.scored is not None:
    raise InputError(
      f"{family} scores whole examples and cannot read some of their positions as context; evaluate it with context 0, "
      "or take an autoregressive model"
    )
