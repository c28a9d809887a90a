"""Orders within the blocks of block diffusion models: which positions of a block are drawn next, and p(x) along them.

A call draws positions of one block. So a deterministic order gives each x one path, along which p(x) is a product as in
`models.diffusion.unmasking`; of an x that is known all blocks are walked through together.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from catgen.chains import check_frames
from catgen.distributions import categorical
from catgen.events import sum_valid
from catgen.interfaces import Batch, PyTree, SampleOptions
from catgen.models.block_diffusion.spec import Spec, predictions, read_clean
from catgen.models.rules import FIRST_HITTING, RULES, check_order
from catgen.orders import OF_ORDERS, Orders

Drawing = TypeVar("Drawing")
_NAMES = tuple(name for name in RULES if name != "blocks")  # whose sizes are of blocks of its own
_REFUSED = ("num_steps", "correction", "guidance_interval")


class _Walk(NamedTuple):
  """An unmasking of known examples under way."""

  masked: Bool[Array, "batch length"]
  nats: Float[Array, "batch"]
  calls: Int[Array, "batch"]


def make_orders(spec: Spec) -> Orders:
  """Returns the orders of a block diffusion model."""
  return Orders(_NAMES, (FIRST_HITTING,), spec.block_length, partial(_log_prob, spec), partial(_num_calls, spec))


def check(spec: Spec, options: SampleOptions, *, exact: bool = False) -> None:
  """Raises InputError where an option cannot be honored; exact: where p(x) of the order is not exact either."""
  categorical.refuse_options(options, _REFUSED, "a block diffusion model draws each position once, block by block")
  if options.order is None and not exact:
    categorical.refuse_options(options, OF_ORDERS, "without an order")
  else:
    check_order(options, _NAMES if exact else (*_NAMES, FIRST_HITTING), spec.block_length)
  categorical.check_restrictions(options, spec.event.num_classes)
  check_frames(options)
  if options.order == "entropy_budget":
    categorical.refuse_options(options, ("num_frames",), "how many calls order 'entropy_budget' takes is not known")
  if exact:
    categorical.refuse_options(options, categorical.GUIDANCE, "guided samples have no likelihood here")


def calls_of_block(spec: Spec, options: SampleOptions) -> int:
  """Returns by how many calls a block is drawn; of the order entropy_budget at most."""
  return -(-spec.block_length // options.positions_per_call)


def chosen_by(
  options: SampleOptions, log_p: Float[Array, "rows block classes"], masked: Bool[Array, "rows block"]
) -> Bool[Array, "rows block"]:
  """Returns which masked positions of blocks a deterministic order draws next."""
  return RULES[options.order or ""](log_p, masked, jnp.full(len(masked), masked.shape[1]), options)


def until_drawn(
  spec: Spec,
  options: SampleOptions,
  call: Callable[[Array, Drawing], Drawing],
  start: Drawing,
  left: Callable[[Drawing], Array],
) -> Drawing:
  """Returns what is carried once a block, or one of each example, is drawn.

  Args:
    call: (its number, what is carried) -> the same after one call of the network.
    left: of what is carried, which positions are not drawn.
  """
  if options.order != "entropy_budget":  # as many calls whatever is drawn: devices need not agree on the end
    return jax.lax.fori_loop(0, calls_of_block(spec, options), call, start)

  def one_more(carry: tuple[Array, Drawing]) -> tuple[Array, Drawing]:
    return carry[0] + 1, call(*carry)

  return jax.lax.while_loop(lambda carry: left(carry[1]).any(), one_more, (jnp.int32(0), start))[1]


def _log_prob(
  spec: Spec, params: PyTree, batch: Batch, *, state: PyTree, options: SampleOptions
) -> Float[Array, "batch"]:
  """See `Orders.log_prob`. -inf where the restrictions leave an x no probability."""
  return _walk_to(spec, params, batch, options).nats


def _num_calls(
  spec: Spec, params: PyTree, batch: Batch, *, state: PyTree, options: SampleOptions
) -> Int[Array, "batch"]:
  """See `Orders.num_calls`. Those that draw something; the one that reads a finished block is not counted."""
  return _walk_to(spec, params, batch, options).calls


def _walk_to(spec: Spec, params: PyTree, batch: Batch, options: SampleOptions) -> _Walk:
  """Returns the end of the walk to the examples of a batch, through all their blocks at once."""
  check(spec, options, exact=True)
  clean, (number, length) = read_clean(spec, params, batch), batch.x.shape

  def call(_: Array, walk: _Walk) -> _Walk:
    log_p = predictions(spec, params, clean, batch, walk.masked)
    chosen = chosen_by(options, spec.rows(log_p), spec.rows(walk.masked))
    here = chosen.reshape(number, length)
    drawn = jax.nn.log_softmax(categorical.restrict(log_p, options))
    nats = walk.nats + sum_valid(categorical.take(drawn, batch.x), here)
    calls = walk.calls + sum_valid(chosen.any(axis=1).reshape(number, -1).astype(jnp.int32))
    return _Walk(walk.masked & ~here, nats, calls)

  start = _Walk(jnp.asarray(batch.valid), jnp.zeros(number), jnp.zeros(number, jnp.int32))
  return until_drawn(spec, options, call, start, lambda walk: walk.masked)
