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
from catgen.interfaces import Batch, Bound, EventSpec, Infill, Model, PyTree, SampleOptions, Samples
from catgen.kinds import Recipe
from catgen.meshes import spread
from catgen.models.adapter import functional
from catgen.networks.conditions import Conditions
from catgen.networks.roles import Causal

_EXPLANATION = "exact: the continuation of an observed prefix is drawn from the model's own conditional distributions"


def autoregressive(event: EventSpec, *, network: Recipe) -> Model:
  """Returns an autoregressive model.

  Its `log_prob` is exact, in nats [batch]; its `sample` calls the network once for each position.

  Args:
    event: shape and number of classes of one example.
    network: that predicts each category from those before it, as a `Causal`.
  """

  k = event.num_classes
  module = functional(lambda rngs: Causal(network, event.shape, k, k, event.given, rngs=rngs))
  apply = module.apply
  return Model(
    event=event,
    init=partial(_init, module.init),
    bound=partial(_bound, apply, event),
    sample=partial(_sample, apply, event),
    log_prob=partial(_log_prob, apply, event),
    log_weight=partial(_log_weight, apply, event),
    infill=Infill(partial(_infill, apply, event), True, _EXPLANATION, prefix_only=True),
  )


def _init(init_network: Callable, batch: Batch, key: Array) -> tuple[PyTree, PyTree]:
  """See `Model.init`."""
  return init_network(key), {}


def _log_prob(
  apply: Callable, event: EventSpec, params: PyTree, batch: Batch, *, state: PyTree, keys: Array | None = None
) -> Float[Array, "batch"]:
  """See `Model.log_prob`. Positions that are not scored are read, as context of those after them, and not counted."""
  conditions = Conditions(valid=seen(event, batch.valid), keys=keys, given=batch.given)
  pieces = categorical.num_pieces(len(batch.x), batch.x[0].size, event.num_classes)
  if pieces == 1:
    nats = _of_logits(apply(params, batch.x, conditions), batch.x)
  else:
    nats = apply(params, batch.x, conditions, _of_logits, batch.x, pieces=pieces, method="costs")
  return sum_valid(nats, scored_positions(batch))


def _of_logits(
  logits: Float[Array, "batch *event classes"], x: Int[Array, "batch *event"]
) -> Float[Array, "batch *event"]:
  return categorical.log_prob(logits.astype(jnp.float32), x)


def _bound(
  apply: Callable,
  event: EventSpec,
  params: PyTree,
  batch: Batch,
  keys: Key[Array, "batch"],
  *,
  state: PyTree,
  train: bool,
  strata: Float[Array, "batch"] | None = None,
) -> Bound:
  """See `Model.bound`. It is log p(x) itself; nothing is drawn but dropout in training."""
  nats = _log_prob(apply, event, params, batch, state=state, keys=keys if train else None)
  return Bound(nats, {"log_prob": nats})


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
    options, ("num_steps", "num_frames"), "an autoregressive model draws one position after the other"
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
