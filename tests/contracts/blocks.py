"""Exact probabilities of block diffusion models in float64: every order of every block, one after the other."""

import functools
import itertools

import jax
import numpy as np

from catgen.interfaces import Batch
from catgen.models.block_diffusion.spec import Spec, predictions, read_clean
from tests.models.stubs import whole


@functools.partial(jax.jit, static_argnums=0)
def say(spec: Spec, params, batch: Batch, masked: jax.Array) -> jax.Array:
  """Returns what the network predicts of every position, log p [events, length, classes]."""
  return predictions(spec, params, read_clean(spec, params, batch), batch, masked)


def log_predictions(
  spec: Spec, params, events: np.ndarray, given: np.ndarray | None = None
) -> dict[tuple[int, ...], np.ndarray]:
  """Returns for each set of visible places of a block log p of what each event holds, [events, blocks, block]."""
  found, size, batch = {}, spec.block_length, whole(events)._replace(given=given)
  for number in range(size):
    for seen in itertools.combinations(range(size), number):
      masked = np.broadcast_to(~np.tile(np.isin(np.arange(size), seen), spec.num_blocks), events.shape)
      log_p = np.float64(say(spec, params, batch, masked))
      log_p -= np.logaddexp.reduce(log_p, axis=-1, keepdims=True)
      own = np.take_along_axis(log_p, events[..., None], axis=-1)
      found[seen] = own.reshape(len(events), -1, size)
  return found


def of_orders(log_p: dict[tuple[int, ...], np.ndarray], size: int) -> np.ndarray:
  """Returns log of the product of predictions along each order of the places of a block, [orders, events, blocks]."""
  return np.stack(
    [
      sum(log_p[tuple(sorted(order[:place]))][:, :, order[place]] for place in range(size))
      for order in itertools.permutations(range(size))
    ]
  )


def probabilities(spec: Spec, params, events: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
  """Returns p(x) of every event."""
  along = of_orders(log_predictions(spec, params, events, given), spec.block_length)
  return np.exp(along).mean(axis=0).prod(axis=1)
