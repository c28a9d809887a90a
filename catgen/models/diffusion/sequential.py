"""Masked diffusion models read from left to right, a position at a time."""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from catgen.interfaces import PyTree
from catgen.models.diffusion.spec import Spec, predict
from catgen.models.diffusion.unmasking import count, time_of
from catgen.orders import Sequential


def make_sequential(spec: Spec) -> Sequential:
  """Returns the order "left_to_right", a position at a time. Each call reads all of the example."""
  return Sequential(partial(_start, spec), partial(_next_log_probs, spec), _observe)


class _Reading(NamedTuple):
  """What is visible so far."""

  x: Int[Array, "batch *event"]
  valid: Bool[Array, "batch *event"]
  masked: Bool[Array, "batch *event"]
  given: Int[Array, "batch attributes"] | None


def _start(
  spec: Spec,
  params: PyTree,
  valid: Bool[Array, "batch *event"],
  *,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
) -> _Reading:
  """See `Sequential.start`."""
  return _Reading(jnp.full(valid.shape, spec.process.num_classes, jnp.int32), valid, valid, given)


def _next_log_probs(
  spec: Spec, params: PyTree, carry: _Reading, position: Int[Array, ""] | int
) -> tuple[Float[Array, "batch classes"], _Reading]:
  """See `Sequential.log_probs`."""
  spec, lost = spec._replace(given=carry.given), count(carry.masked) / jnp.maximum(count(carry.valid), 1)
  log_x0 = predict(spec, params, carry.x, time_of(spec, lost), carry.valid)
  return log_x0.reshape(len(log_x0), -1, log_x0.shape[-1])[:, position], carry


def _observe(carry: _Reading, position: Int[Array, ""] | int, category: Int[Array, "batch"]) -> _Reading:
  """See `Sequential.observe`."""
  size = carry.x[0].size
  here = carry.masked & (jnp.arange(size) == position).reshape(1, *carry.x.shape[1:])
  category = category.astype(jnp.int32).reshape(-1, *(1,) * (carry.x.ndim - 1))
  return carry._replace(x=jnp.where(here, category, carry.x), masked=carry.masked & ~here)
