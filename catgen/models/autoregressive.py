"""Autoregressive models: p(x) = prod_d p(x_d | x_1..x_(d-1)), exact, with a causal network.

Events of any shape are read in row-major order. It is the reference row of every comparison (the paper's Table 3).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.batches import scored_positions, seen
from catgen.distributions import categorical
from catgen.events import sum_valid
from catgen.interfaces import (
  Batch,
  Bound,
  Carry,
  EventSpec,
  Infill,
  InputError,
  Model,
  PyTree,
  ReadOptions,
  SampleOptions,
  Samples,
)
from catgen.kinds import Recipe
from catgen.meshes import spread
from catgen.models.adapter import Functional, functional
from catgen.models.auxiliary import Auxiliary, auxiliary_bound, of_logits
from catgen.models.updates import count_update, no_updates
from catgen.networks.conditions import Conditions
from catgen.networks.roles import Causal

_EXPLANATION = "exact: the continuation of an observed prefix is drawn from the model's own conditional distributions"


def autoregressive(event: EventSpec, *, network: Recipe, auxiliary_steps: int = 0, second_target: float = 0.0) -> Model:
  """Returns an autoregressive model.

  Its `log_prob` is exact, in nats [batch]; its `sample` calls the network once for each position.

  Args:
    event: shape and number of classes of one example.
    network: that predicts each category from those before it, as a `Causal`.
    auxiliary_steps: updates until which layers before the last predict too, by heads of their own, while training: the
      l-th of N layers for the first l / N of them; 0 = none does. A deep transformer learns by it.
    second_target: weight, in training, of a prediction of the category after the next, which each layer that predicts
      makes by another head; 0 = none.

  What training predicts besides enters the objective and no number that is reported.

  Raises:
    InputError: the network does not tell the features of its layers, or a number is negative.

  Reference: Al-Rfou et al. (2019), arXiv:1808.04444, for the auxiliary predictions.
  """
  for name, number in (("auxiliary_steps", auxiliary_steps), ("second_target", second_target)):
    if not 0 <= number < 2**31:
      raise InputError(f"autoregressive: {name} is {number}; it must be at least 0, and less than 2^31")
  k = event.num_classes
  heads = {"intermediate": auxiliary_steps > 0, "second": second_target > 0}
  module = functional(lambda rngs: Causal(network, event.shape, k, k, event.given, **heads, rngs=rngs))
  apply = module.apply
  extra = None
  if any(heads.values()):
    extra = Auxiliary(auxiliary_steps, second_target, module.plan.stack.trunk.num_layers)
  return Model(
    event=event,
    init=partial(_init, module.init, extra),
    bound=partial(_bound, apply, event, extra),
    sample=partial(_sample, apply, event),
    update_state=None if extra is None else count_update,
    log_prob=partial(_log_prob, apply, event),
    log_weight=partial(_log_weight, apply, event),
    infill=Infill(partial(_infill, apply, event), True, _EXPLANATION, prefix_only=True),
    carry=_carry(module, event),
  )


def _init(init_network: Callable, extra: Auxiliary | None, batch: Batch, key: Array) -> tuple[PyTree, PyTree]:
  """See `Model.init`."""
  return init_network(key), {} if extra is None else no_updates()


def _log_prob(
  apply: Callable, event: EventSpec, params: PyTree, batch: Batch, *, state: PyTree, keys: Array | None = None
) -> Float[Array, "batch"]:
  """See `Model.log_prob`. Positions that are not scored are read, as context of those after them, and not counted."""
  conditions = Conditions(valid=seen(event, batch.valid), keys=keys, given=batch.given)
  pieces = categorical.num_pieces(len(batch.x), batch.x[0].size, event.num_classes)
  if pieces == 1:
    nats = of_logits(apply(params, batch.x, conditions), batch.x)
  else:
    nats = apply(params, batch.x, conditions, of_logits, batch.x, pieces=pieces, method="costs")
  return sum_valid(nats, scored_positions(batch))


def _bound(
  apply: Callable,
  event: EventSpec,
  extra: Auxiliary | None,
  params: PyTree,
  batch: Batch,
  keys: Key[Array, "batch"],
  *,
  state: PyTree,
  train: bool,
  strata: Float[Array, "batch"] | None = None,
) -> Bound:
  """See `Model.bound`. It is log p(x) itself; nothing is drawn but dropout in training."""
  if train and extra is not None:
    conditions = Conditions(valid=seen(event, batch.valid), keys=keys, given=batch.given)
    return auxiliary_bound(extra, partial(apply, params, method="with_auxiliary"), batch, conditions, state)
  nats = _log_prob(apply, event, params, batch, state=state, keys=keys if train else None)
  return Bound(nats, {"log_prob": nats})


def _carry(module: Functional, event: EventSpec) -> Carry | None:
  """Returns how the model reads streams on, where its network carries a memory."""
  trunk = module.plan.stack.trunk
  if not trunk.abilities.carries or not trunk.memory_length:
    return None
  return Carry(partial(_empty_memory, module.apply), partial(_carried_bound, module.apply, event))


def _empty_memory(apply: Callable, params: PyTree, batch_size: int, *, size: int | None = None) -> PyTree:
  """See `Carry.empty`."""
  return apply(params, batch_size, size, method="empty_memory")


def _carried_bound(
  apply: Callable,
  event: EventSpec,
  params: PyTree,
  batch: Batch,
  memory: PyTree,
  keys: Key[Array, "batch"],
  *,
  state: PyTree,
  train: bool,
  strata: Float[Array, "batch"] | None = None,
  options: ReadOptions,
) -> tuple[Bound, PyTree]:
  """See `Carry.bound`."""
  rows = jax.tree.map(lambda array: array.reshape(len(batch.x), -1), (batch.x, batch.valid, scored_positions(batch)))
  x, valid, scored = rows
  conditions = Conditions(valid=seen(event, valid), keys=keys if train else None, given=batch.given)
  logits, memory = apply(params, x, memory, conditions, options, method="read_on")
  nats = sum_valid(of_logits(logits, x), scored)
  return Bound(nats, {"log_prob": nats}), memory


def _log_weight(
  apply: Callable, event: EventSpec, params: PyTree, batch: Batch, keys: Key[Array, "batch"], *, state: PyTree
) -> Float[Array, "batch"]:
  """See `Model.log_weight`. Without latent variables every draw is log p(x)."""
  return _log_prob(apply, event, params, batch, state=state)


def _sample(
  apply: Callable,
  event: EventSpec,
  params: PyTree,
  keys: Key[Array, "batch"],
  *,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
  options: SampleOptions,
) -> Samples:
  """See `Model.sample`. One cached network call per position, in one compiled scan."""
  nothing = jnp.zeros((keys.shape[0], *event.shape), jnp.int32)
  return _complete(apply, event, params, nothing, jnp.zeros(nothing.shape, bool), keys, given, options)


def _infill(
  apply: Callable,
  event: EventSpec,
  params: PyTree,
  x: Int[Array, "batch *event"],
  observed: Bool[Array, "batch *event"],
  keys: Key[Array, "batch"],
  *,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
  options: SampleOptions,
) -> Samples:
  """See `Infill.draw`."""
  return _complete(apply, event, params, x, observed, keys, given, options)


def _complete(
  apply: Callable,
  event: EventSpec,
  params: PyTree,
  x: Array,
  observed: Array,
  keys: Array,
  given: Array | None,
  options: SampleOptions,
) -> Samples:
  """Draws the positions that are not observed, in order, each from its restricted conditional distribution."""
  categorical.refuse_options(
    options, ("num_steps", "num_frames", "correction"), "an autoregressive model draws one position after the other"
  )
  categorical.check_restrictions(options, event.num_classes)
  batch_size = x.shape[0]
  flat_x, flat_observed = spread((x.reshape(batch_size, -1), observed.reshape(batch_size, -1)))

  def draw(carry: tuple[Any, Array], position: Array) -> tuple[tuple[Any, Array], Array]:
    cache, previous = carry
    logits, cache = apply(params, cache, previous, position, method="decode", given=given)
    fresh = jax.vmap(lambda key, row: categorical.sample(jax.random.fold_in(key, position), row))(
      keys, categorical.restrict(logits.astype(jnp.float32), options)
    )
    token = spread(jnp.where(flat_observed[:, position], flat_x[:, position], fresh).astype(jnp.int32))
    return (cache, token), token

  cache = apply(params, batch_size, method="init_cache")
  start = jnp.full((batch_size,), event.num_classes, jnp.int32)
  _, tokens = jax.lax.scan(draw, (cache, start), jnp.arange(flat_x.shape[1]))
  result = tokens.T.reshape(x.shape)
  return Samples(result, jnp.ones(result.shape, bool))
