"""One update: keys and strata per example, microbatches, gradient, optimizer, moving average, model state.

The loss is -(sum of nats) / (number of scored positions), both over the whole global batch, so that neither padding,
nor microbatches, nor the number of devices or processes changes it beyond rounding. A model that trains on something
else gives its objective beside its nats: the gradient is that of the objective, what is reported are the nats.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float

from catgen.batches import begun, scored_positions
from catgen.given import hide
from catgen.interfaces import Batch, Bound, InputError, Model, PyTree, ReadOptions
from catgen.keys import example_keys, example_strata
from catgen.meshes import on_mesh_of_arguments, spread
from catgen.training.sharding import DEFAULT_RULES, Rules, shard_state
from catgen.training.state import TrainState, create_state, update_ema

MANY_ARRAYS = 1000  # parameters; the draw of each takes XLA a fraction of a second to compile
HIDDEN_GIVEN = 0.1  # share of the labels


def abstract_state(
  model: Model,
  optimizer: optax.GradientTransformation,
  batch: Batch,
  *,
  mesh: Mesh,
  rules: Rules = DEFAULT_RULES,
  min_size: int = 2**14,
  ema_decay: float = 0.0,
) -> TrainState:
  """Returns the state as `jax.ShapeDtypeStruct`s with shardings: nothing is computed.

  Args:
    model, optimizer: see `Model` and `make_optimizer`.
    batch: a global batch, or its shapes.
    mesh, rules, min_size: see `shard_state`.
    ema_decay: 0 = no moving average.
  """
  key = jax.eval_shape(lambda: jax.random.key(0))
  create = functools.partial(create_state, model, optimizer, use_ema=ema_decay > 0)
  shapes = jax.eval_shape(create, batch, key)
  shardings = shard_state(shapes, mesh, rules, min_size=min_size)
  return jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, shardings)


def make_init(model: Model, optimizer: optax.GradientTransformation, *, target: TrainState) -> Callable:
  """Returns (batch, key) -> TrainState, made where it will live: no device ever holds a whole model that is spread.

  A model of very many arrays that every device holds is drawn operation by operation instead: as one program the draws
  of the paper's flow of maps compile for more than five minutes on a CPU, one by one they take half of one.

  Args:
    model, optimizer: as for `abstract_state`.
    target: from `abstract_state`.
  """
  create = functools.partial(create_state, model, optimizer, use_ema=target.ema is not None)
  shardings = _shardings(target)
  everywhere = all(each.is_fully_replicated and each.is_fully_addressable for each in jax.tree.leaves(shardings))
  if everywhere and len(jax.tree.leaves(target.params)) > MANY_ARRAYS:
    return lambda batch, key: jax.device_put(create(batch, key), shardings, may_alias=False)
  return jax.jit(on_mesh_of_arguments(create), out_shardings=shardings)


def make_train_step(
  model: Model,
  optimizer: optax.GradientTransformation,
  learning_rate: Callable,
  *,
  target: TrainState,
  num_microbatches: int = 1,
  ema_decay: float = 0.0,
  hidden_given: float = HIDDEN_GIVEN,
) -> Callable:
  """Returns (state, batch, key, step=None, skips=None) -> (state, metrics), compiled; the given state is consumed.

  Where the state holds a memory, examples that continue those before them are read on from it: see `Carry`.

  `batch` is placed (see `place`); its `index` numbers the examples of the global batch. `key` is the run's key: each
  step folds in its number, each example its index. Metrics are sums over the global batch: "nats", "positions",
  "terms" (a dict), and "grad_norm" (before clipping), "learning_rate", "non_finite".

  If the sum of nats or the gradient is not finite, or `step` is given and is not `state.step`, the state comes back
  as it was. A caller that counts steps by itself may thus run ahead: after a bad step nothing moves. With `skips` > 0
  left (a replicated int32), a step that is not finite is counted and leaves everything else as it was; metrics then
  have "skipped", whether it did, and "skips_left", for the next step.

  Args:
    model, optimizer, target: as for `make_init`.
    learning_rate: step -> rate, for the metrics.
    num_microbatches: the batch is worked on in that many pieces, to save memory.
    ema_decay: 0 = no moving average; see `ema_decay_at`.
    hidden_given: share of the labels that are hidden (see `given.hide`), so that p(x) without them is learned too.

  Raises:
    InputError: `hidden_given` is no share, or `ema_decay` none of an average.
  """
  if not 0.0 <= ema_decay <= 1.0:
    raise InputError(f"ema_decay is {ema_decay}; it is the share of the average that stays: from 0 to 1")
  if not 0.0 <= hidden_given <= 1.0:
    raise InputError(f"hidden_given is {hidden_given}; it is a share of the labels: from 0 to 1")
  param_shardings = _shardings(target).params
  everywhere = target.step.sharding

  def train_step(
    state: TrainState, batch: Batch, key: Array, step: Array | int | None = None, skips: Array | None = None
  ) -> tuple[TrainState, dict[str, Any]]:
    draws_key, strata_key = jax.random.split(jax.random.fold_in(key, state.step))
    index = jnp.asarray(batch.index)
    keys = spread(example_keys(draws_key, index))
    if batch.given is not None and model.event.given:
      batch = batch._replace(given=hide(batch.given, model.event.given, keys, hidden_given))
    memory = state.memory
    if model.carry is not None and memory is not None:
      memory = begun(memory, model.carry.empty(state.params, 1), batch.continues)
    inputs = (batch, keys, example_strata(strata_key, index, len(batch.x)), memory)
    loss = functools.partial(_negative_objective, model, state.model_state)
    grads, sums, carried = _accumulate(loss, state.params, inputs, num_microbatches, param_shardings)
    positions = scored_positions(batch).sum()
    grads = jax.tree.map(lambda g: g / jnp.maximum(positions, 1).astype(g.dtype), grads)
    grad_norm = optax.global_norm(grads)
    finite = jnp.isfinite(sums["nats"]) & jnp.isfinite(grad_norm)
    metrics = {
      **sums,
      "positions": positions,
      "grad_norm": grad_norm,
      "learning_rate": learning_rate(state.step),
      "non_finite": ~finite,
    }
    updated = _update(model, optimizer, state, grads, carried, batch, ema_decay)
    in_turn = jnp.bool_(True) if step is None else state.step == step
    chosen = jax.tree.map(functools.partial(jnp.where, finite & in_turn), updated, state)
    if skips is not None:
      skip = ~finite & in_turn & (skips > 0)
      chosen = chosen._replace(step=chosen.step + skip)
      metrics |= {"skipped": skip, "skips_left": jax.lax.with_sharding_constraint(skips - skip, everywhere)}
    return chosen, metrics

  return jax.jit(on_mesh_of_arguments(train_step), donate_argnames="state", out_shardings=(_shardings(target), None))


def _negative_objective(
  model: Model, model_state: PyTree, params: PyTree, inputs: tuple
) -> tuple[Float[Array, ""], tuple[dict, tuple[PyTree, PyTree]]]:
  """Returns minus the objective, and the sums, statistics and memory of these examples."""
  batch, keys, strata, memory = inputs
  how: dict[str, Any] = {"state": model_state, "train": True, "strata": strata}
  bound: Bound
  if model.carry is None or memory is None:
    bound = model.bound(params, batch, keys, **how)
  else:
    bound, memory = model.carry.bound(params, batch, memory, keys, **how, options=ReadOptions())
  nats = bound.nats.sum()
  terms = {name: term.sum() for name, term in bound.terms.items()}
  raised = nats if bound.objective is None else bound.objective.sum()
  return -raised, ({"nats": nats, "terms": terms}, (bound.statistics, memory))


def _accumulate(
  loss: Callable, params: PyTree, inputs: tuple, num_microbatches: int, param_shardings: PyTree
) -> tuple[PyTree, dict, PyTree]:
  """Returns the gradient and the sums over all microbatches, and what is of each example in the batch's order.

  Microbatch m holds examples m, m + M, m + 2M, ...: each device then takes them from its own examples and none travel.
  """

  def gradient(params: PyTree, inputs: tuple) -> tuple[PyTree, tuple]:
    grads, aux = jax.grad(loss, has_aux=True)(params, inputs)
    return _laid_out(grads, param_shardings), aux

  if num_microbatches == 1:
    grads, (sums, statistics) = gradient(params, inputs)
    return grads, sums, statistics
  rows = jax.tree.map(lambda x: x.reshape(-1, num_microbatches, *x.shape[1:]), inputs)

  def piece(number: Array) -> tuple:
    return spread(jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, number, axis=1, keepdims=False), rows))

  def add(carry: PyTree, number: Array) -> tuple[PyTree, PyTree]:
    grads, (sums, statistics) = gradient(params, piece(number))
    return jax.tree.map(jnp.add, carry, (grads, sums)), statistics

  def join(x: Array) -> Array:
    return spread(x.swapaxes(0, 1).reshape(-1, *x.shape[2:]))

  numbers = jnp.arange(num_microbatches)
  shapes = jax.eval_shape(lambda number: gradient(params, piece(number)), numbers[0])
  grads, sums = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (shapes[0], shapes[1][0]))
  (grads, sums), statistics = jax.lax.scan(add, (_laid_out(grads, param_shardings), sums), numbers)
  return grads, sums, jax.tree.map(join, statistics)


def _laid_out(grads: PyTree, param_shardings: PyTree) -> PyTree:
  """Returns gradients where their parameters are, so that a device receives only its part of the sum."""
  if jax.tree.leaves(param_shardings)[0].mesh.size == 1:
    return grads
  return jax.lax.with_sharding_constraint(grads, param_shardings)


def _update(
  model: Model,
  optimizer: optax.GradientTransformation,
  state: TrainState,
  grads: PyTree,
  carried: tuple[PyTree, PyTree],
  batch: Batch,
  ema_decay: float,
) -> TrainState:
  statistics, memory = carried
  updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
  params = optax.apply_updates(state.params, updates)
  ema = state.ema if state.ema is None else update_ema(state.ema, params, state.step, ema_decay)
  model_state = state.model_state
  if model.update_state is not None:
    valid = batch.valid.reshape(len(batch.x), -1).any(axis=1)
    model_state = model.update_state(model_state, statistics, valid)
  return TrainState(state.step + 1, params, ema, opt_state, model_state, memory)


def _shardings(target: TrainState) -> TrainState:
  return jax.tree.map(lambda x: x.sharding, target)
