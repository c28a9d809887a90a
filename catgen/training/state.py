"""All that training carries from step to step, and the moving average of parameters."""

from typing import NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from catgen.interfaces import Batch, Model, PyTree


class TrainState(NamedTuple):
  """All that a checkpoint must hold for a run to go on bit for bit. Keys are no part of it: they follow from `step`."""

  step: Int[Array, ""]  # updates done, int32
  params: PyTree
  ema: PyTree  # moving average of `params`; None where it is off
  opt_state: PyTree
  model_state: PyTree
  # what each place of a batch carries to the next one, arrays [batch, ...], spread like examples; None where nothing is
  memory: PyTree = None


def create_state(
  model: Model, optimizer: optax.GradientTransformation, batch: Batch, key: Array, *, use_ema: bool
) -> TrainState:
  """Returns the state before the first update. Pure, so that `jax.eval_shape` gives its shapes."""
  params, model_state = model.init(batch, key)
  ema = params if use_ema else None
  memory = None
  if model.carry is not None and batch.continues is not None:
    memory = model.carry.empty(params, len(batch.x))
  return TrainState(jnp.zeros((), jnp.int32), params, ema, optimizer.init(params), model_state, memory)


def ema_decay_at(step: Int[Array, ""], decay: float) -> Float[Array, ""]:
  """Returns min(decay, (1 + step) / (10 + step)), `step` counting the updates done before this one.

  The average thus forgets its random start: after n updates it covers about the last tenth of them, until it covers
  1 / (1 - decay). It depends on the step alone, so that a resumed run is exact.
  """
  return jnp.minimum(decay, (1.0 + step) / (10.0 + step))


def update_ema(ema: PyTree, params: PyTree, step: Int[Array, ""], decay: float) -> PyTree:
  """Returns d ema + (1 - d) params with d = `ema_decay_at(step, decay)`."""
  return optax.incremental_update(params, ema, 1.0 - ema_decay_at(step, decay))
