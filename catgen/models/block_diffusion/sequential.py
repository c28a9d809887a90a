"""Block diffusion models read from left to right, a position at a time: the order "left_to_right"."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from catgen.batches import seen
from catgen.interfaces import PyTree
from catgen.models.block_diffusion.spec import Spec
from catgen.networks.block_causal import Clean
from catgen.orders import Sequential


def make_sequential(spec: Spec) -> Sequential:
  """Returns that order. Each call reads the slots of one block, the first one of a block those of the last one too."""
  return Sequential(partial(_start, spec), partial(_next_log_probs, spec), _observe)


class _Reading(NamedTuple):
  """What is known so far."""

  clean: Clean  # of the blocks before the one that is read
  tokens: Int[Array, "batch places"]  # K, then the category of each position, K where it is not known or does not count
  valid: Bool[Array, "batch length"]
  given: Int[Array, "batch attributes"] | None


def _start(
  spec: Spec,
  params: PyTree,
  valid: Bool[Array, "batch length"],
  *,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
) -> _Reading:
  """See `Sequential.start`."""
  clean = spec.network(params, len(valid), seen(spec.event, valid), method="unread")
  tokens = jnp.full((len(valid), valid.shape[1] + 1), spec.event.num_classes, jnp.int32)
  return _Reading(clean, tokens, valid, given)


def _next_log_probs(
  spec: Spec, params: PyTree, carry: _Reading, position: Int[Array, ""] | int
) -> tuple[Float[Array, "batch classes"], _Reading]:
  """See `Sequential.log_probs`."""
  size = spec.block_length
  # Not a constant where it is one: XLA would work out the scores of an empty memory while compiling, for a minute.
  number, within = jnp.divmod(jax.lax.optimization_barrier(jnp.asarray(position)), size)

  def tokens_of(number: Array, places: int) -> Array:
    return jax.lax.dynamic_slice_in_dim(carry.tokens, number * size, places, axis=1)

  def read_last(clean: Clean) -> Clean:
    last = number - 1
    return spec.network(params, clean, tokens_of(last, size), last, given=carry.given, method="read_block")

  clean = jax.lax.cond((within == 0) & (number > 0), read_last, lambda clean: clean, carry.clean)
  logits = spec.network(params, clean, tokens_of(number, size + 1), number, given=carry.given, method="of_block")
  return jax.nn.log_softmax(logits[:, within].astype(jnp.float32)), carry._replace(clean=clean)


def _observe(carry: _Reading, position: Int[Array, ""] | int, category: Int[Array, "batch"]) -> _Reading:
  """See `Sequential.observe`."""
  before = jax.lax.dynamic_slice_in_dim(carry.tokens, position + 1, 1, axis=1)[:, 0]
  held = jnp.where(carry.valid[:, position], category.astype(jnp.int32), before)
  tokens = jax.lax.dynamic_update_slice_in_dim(carry.tokens, held[:, None], position + 1, axis=1)
  return carry._replace(tokens=tokens)
