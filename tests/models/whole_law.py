"""Training on all events there are, weighted by their probabilities: no data are drawn, so that nothing is left out."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from catgen.batches import batch_of
from catgen.interfaces import Batch, Model
from catgen.keys import example_keys
from tests.compiling import OPTIMIZED
from tests.contracts.making import initial


def on_device(events: np.ndarray) -> Batch:
  """Returns events as a batch of JAX arrays."""
  return jax.tree.map(jnp.asarray, batch_of(events))


def trained(model: Model, events: np.ndarray, p: np.ndarray, *, copies: int = 8, num_steps: int = 1500):
  """Returns parameters and state after steps on batches that hold each event so many times."""
  params, state = initial(model)
  batch, weights = on_device(np.tile(events, (copies, 1))), jnp.asarray(np.tile(p, copies) / copies, jnp.float32)
  optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, num_steps))

  @partial(jax.jit, compiler_options=OPTIMIZED)
  def steps(params, moments):
    def step(i, carry):
      params, moments = carry

      def loss(params):
        keys = example_keys(jax.random.fold_in(jax.random.key(0), i), jnp.arange(len(batch.x)))
        bound = model.bound(params, batch, keys, state=state, train=True)
        return -(weights * jnp.where(weights > 0, bound.nats, 0.0)).sum()

      updates, moments = optimizer.update(jax.grad(loss)(params), moments)
      return optax.apply_updates(params, updates), moments

    return jax.lax.fori_loop(0, num_steps, step, (params, moments))

  return steps(params, optimizer.init(params))[0], state
