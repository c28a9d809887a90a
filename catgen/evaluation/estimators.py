"""What one draw of each likelihood estimator is, compiled once per model.

exact   log p(x)                                        Model.log_prob
elbo    one draw of a lower bound (one time step)       Model.bound
full    the same bound with every time step once        Model.full_bound
iwbo    the log of an unbiased estimate of p(x)         Model.log_weight
order   log p(x) of the samples of an order, restricted Model.orders

All are of the scored positions, given what the batch says is given.
"""

import functools
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from catgen import meshes
from catgen.batches import begun, scored_positions
from catgen.evaluation.spread import ALONE, Spread
from catgen.interfaces import Batch, Bound, InputError, Model, Profile, PyTree, ReadOptions, SampleOptions
from catgen.keys import example_keys
from catgen.orders import MOVES, named, stated

Name = Literal["exact", "elbo", "full", "iwbo", "order"]
ESTIMATORS: tuple[Name, ...] = get_args(Name)
EXACT: tuple[Name, ...] = ("exact", "order")  # nothing is drawn
ONE_CALL: tuple[Name, ...] = ("exact", "elbo")  # those that call the network once for a draw
OWN = SampleOptions()  # the model's own law
GOLDEN_RATIO = 2654435769  # 2^32 (sqrt(5) - 1) / 2: multiples of it, modulo 2^32, spread evenly however many there are


class LossSums(NamedTuple):
  """A `Profile` summed over the examples of a batch (and over draws), in nats, with what to divide by."""

  by_time: Float[Array, "time"]
  by_position: Float[Array, "*event"]
  by_class: Float[Array, "classes"]  # the loss of the positions whose true category this is


class Draws(NamedTuple):
  """Draws of an estimator for one batch, in nats per example."""

  nats: Float[Array, "draws batch"]
  terms: dict[str, Float[Array, "draws batch"]]  # add up to `nats`; empty where an estimator has none
  losses: LossSums | None  # for "full" only


def available(model: Model) -> tuple[Name, ...]:
  """Returns the estimators that this model offers."""
  capabilities = {
    "exact": model.log_prob,
    "elbo": model.bound,
    "full": model.full_bound,
    "iwbo": model.log_weight,
    "order": model.orders,
  }
  return tuple(name for name in ESTIMATORS if capabilities[name] is not None)


def default_estimator(model: Model) -> Name:
  """Returns "exact" where the model has exact probabilities, else "elbo": "full" calls the network for every step."""
  return "exact" if model.log_prob is not None else "elbo"


def check_estimator(model: Model, estimator: str) -> None:
  """Raises InputError unless the model offers the estimator."""
  offered = ", ".join(available(model))
  if estimator not in ESTIMATORS:
    raise InputError(f"unknown estimator {estimator!r}; this model offers: {offered}")
  if estimator == "iwbo" and model.log_weight is None:
    raise InputError(
      "estimator 'iwbo' needs importance weights, which this model does not have (draws of its bound are none, "
      f"their exponentials do not average to p(x)); it offers: {offered}"
    )
  if estimator not in available(model):
    raise InputError(f"this model has no estimator {estimator!r}; it offers: {offered}")


def check_law(model: Model, estimator: str, law: SampleOptions) -> None:
  """Raises InputError unless the estimator is of this law: but for "order" and "full" each is of the model's own."""
  of_moves = {name: value for name, value in stated(law).items() if name in MOVES}
  if estimator != "order":
    if of_moves and estimator != "full":
      raise InputError(
        f"estimator {estimator!r} is of the model's own p(x), and samples by {named(of_moves)} follow another law: "
        "--estimator=full bounds it, of diffusion in discrete time"
      )
    if changed := {name: value for name, value in stated(law).items() if name not in of_moves}:
      known = "is not known" if model.orders is None else "--estimator=order finds, of an --order"
      raise InputError(
        f"estimator {estimator!r} is of the model's own p(x), and the law of samples by {named(changed)} is another, "
        f"which {known}; leave them out"
      )
    return
  assert model.orders is not None
  if of_moves:
    raise InputError(f"an order has no moves: leave {named(of_moves)} out")
  if law.order is None:
    raise InputError(f"estimator 'order' is of one order: give --order, one of {', '.join(model.orders.names)}")
  if law.order in model.orders.random:
    raise InputError(f"order {law.order!r} is drawn, so that p(x) is a mean over orders: bound it by --estimator=iwbo")


def walk_strata(
  offset: Float[Array, ""], index: Int[Array, "batch"], draw: Int[Array, ""], num_draws: Int[Array, ""]
) -> Float[Array, "batch"]:
  """Returns frac(offset + index * golden ratio + draw / num_draws), with an offset ~ U(0, 1) shared by the walk.

  Each number is uniform. Any run of consecutive examples is spread evenly, so the whole walk is, whatever the order,
  the batch size and the number of devices; and the draws of one example are exactly 1 / num_draws apart.
  """
  turns = (index.astype(jnp.uint32) * jnp.uint32(GOLDEN_RATIO)).astype(jnp.float32) / 2.0**32
  return (turns + offset + draw / num_draws) % 1.0


def draws_together(num_draws: int, draws_at_once: int) -> int:
  """Returns how many draws one call of a device computes: the largest divisor of num_draws within draws_at_once."""
  return max(size for size in range(1, min(draws_at_once, num_draws) + 1) if num_draws % size == 0)


@functools.lru_cache(maxsize=64)
def compiled(
  model: Model, estimator: str, num_at_once: int, spread: Spread = ALONE, law: SampleOptions = OWN
) -> Callable[..., Draws]:
  """Returns (params, state, batch, key, draws: Int["num_at_once"], num_draws) -> Draws, compiled, remembered.

  Args:
    model: hashed by the identity of its functions: one trace serves every later evaluation of the same model.
    estimator: one that the model offers.
    num_at_once: draws computed together; memory grows with it.
    spread: the devices that share the examples.
    law: of the estimator "order": the order, and what restricts each draw; of "full": moves and correction.

  `key` is that of one replicate of the whole estimate; example i in draw s uses fold_in(fold_in(., s), i).
  """
  draw_one = functools.partial(_OF_LAWS[estimator], law) if estimator in _OF_LAWS else _DRAWS[estimator]

  def step(params: PyTree, state: PyTree, batch: Batch, key: Array, draws: Array, num_draws: Array) -> Draws:
    offset_key, draw_key = jax.random.split(key)
    offset, index = jax.random.uniform(offset_key, ()), jnp.asarray(batch.index)

    def one(draw: Array) -> Draws:
      keys = meshes.spread(example_keys(jax.random.fold_in(draw_key, draw), index))
      strata = walk_strata(offset, index, draw, num_draws)
      return draw_one(model, params, state, batch, keys, strata)

    if num_at_once == 1:
      return _without_sums(jax.tree.map(lambda leaf: leaf[None], one(draws[0])))
    if meshes.several_devices():  # convolutions would be merged over draws and examples, and examples move for it
      return _without_sums(jax.lax.map(one, draws))
    return _without_sums(jax.vmap(one)(draws))

  return spread.compiled(step)


class Carried(NamedTuple):
  """How a stream is read on: with so many positions of memory, and how."""

  size: int | None  # None: as many as in training
  options: ReadOptions


def check_carried(model: Model, estimator: str) -> None:
  """Raises InputError unless the model reads on from a memory, which is exact."""
  if model.carry is None:
    raise InputError("this model carries no memory from one example to the next; leave --memory out, or try --context")
  if estimator != "exact":
    raise InputError(f'with a memory the estimator is "exact", not {estimator!r}: leave --estimator out')


@functools.lru_cache(maxsize=16)
def reading_on(model: Model, carried: Carried, spread: Spread = ALONE) -> tuple[Callable[..., PyTree], Callable]:
  """Returns what the exact estimator of streams is made of, compiled, remembered.

  (params, batch) -> the memory before the first batch; and (params, state, batch, memory) -> Draws, and the memory
  after the batch. Memories are spread as the examples are.
  """
  carry = model.carry
  assert carry is not None

  def begin(params: PyTree, batch: Batch) -> PyTree:
    return carry.empty(params, len(batch.x), size=carried.size)

  def step(params: PyTree, state: PyTree, batch: Batch, memory: PyTree) -> tuple[Draws, PyTree]:
    memory = begun(memory, carry.empty(params, 1, size=carried.size), jnp.asarray(batch.continues))
    keys = example_keys(jax.random.key(0), jnp.asarray(batch.index))  # nothing is drawn
    bound, memory = carry.bound(params, batch, memory, keys, state=state, train=False, options=carried.options)
    return Draws(bound.nats[None], {}, None), memory

  return spread.compiled(begin, parts=True), spread.compiled(step, parts=(False, True))


def _without_sums(draws: Draws) -> Draws:
  return draws._replace(losses=jax.tree.map(lambda leaf: leaf.sum(axis=0), draws.losses))


def _bounded(bound: Bound, losses: LossSums | None = None) -> Draws:
  return Draws(bound.nats, bound.terms, losses)


def _exact(model: Model, params: PyTree, state: PyTree, batch: Batch, keys: Array, strata: Array) -> Draws:
  assert model.log_prob is not None
  return Draws(model.log_prob(params, batch, state=state), {}, None)


def _elbo(model: Model, params: PyTree, state: PyTree, batch: Batch, keys: Array, strata: Array) -> Draws:
  return _bounded(model.bound(params, batch, keys, state=state, train=False, strata=strata))


def _iwbo(model: Model, params: PyTree, state: PyTree, batch: Batch, keys: Array, strata: Array) -> Draws:
  assert model.log_weight is not None
  return Draws(model.log_weight(params, batch, keys, state=state), {}, None)


def _full(
  law: SampleOptions, model: Model, params: PyTree, state: PyTree, batch: Batch, keys: Array, strata: Array
) -> Draws:
  assert model.full_bound is not None
  options = {} if law == OWN else {"options": law}
  bound, profile = model.full_bound(params, batch, keys, state=state, **options)
  return _bounded(bound, _sum_losses(profile, batch, model.event.num_classes))


def _sum_losses(profile: Profile, batch: Batch, num_classes: int) -> LossSums:
  by_position = jnp.where(scored_positions(batch), profile.by_position, 0.0)
  by_class = jnp.zeros(num_classes).at[batch.x].add(by_position)
  return LossSums(profile.by_time.sum(axis=0), by_position.sum(axis=0), by_class)


def _order(
  law: SampleOptions, model: Model, params: PyTree, state: PyTree, batch: Batch, keys: Array, strata: Array
) -> Draws:
  assert model.orders is not None
  return Draws(model.orders.log_prob(params, batch, state=state, options=law), {}, None)


_DRAWS = {"exact": _exact, "elbo": _elbo, "iwbo": _iwbo}
_OF_LAWS = {"full": _full, "order": _order}
