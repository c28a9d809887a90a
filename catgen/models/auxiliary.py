"""What layers of a causal network predict while they are trained, besides the model's own prediction.

It enters the objective, fades with the updates that the model's state counts, and never a number that is reported.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from catgen.batches import scored_positions
from catgen.distributions import categorical
from catgen.events import sum_valid
from catgen.interfaces import Batch, Bound, PyTree
from catgen.networks.conditions import Conditions
from catgen.networks.parts.shift import following


class Auxiliary(NamedTuple):
  """What is predicted besides; see `autoregressive`."""

  steps: int
  second_target: float
  num_layers: int


def of_logits(
  logits: Float[Array, "batch *event classes"], x: Int[Array, "batch *event"]
) -> Float[Array, "batch *event"]:
  """Returns log p of each category, in nats."""
  return categorical.log_prob(logits.astype(jnp.float32), x)


def layers_on(updates: Int[Array, ""], steps: int, num_layers: int) -> Float[Array, "layers"]:
  """Returns which layers predict: the l-th of N for the first l / N of the steps, the last one forever.

  Example:
    >>> layers_on(jnp.int32(5), 10, 4).tolist()
    [0.0, 0.0, 1.0, 1.0]
  """
  layers = jnp.arange(1, num_layers + 1)
  done = updates.astype(jnp.float32) / max(steps, 1)
  return ((done < layers / num_layers) | (layers == num_layers)).astype(jnp.float32)


def auxiliary_bound(extra: Auxiliary, predict: Callable, batch: Batch, conditions: Conditions, state: PyTree) -> Bound:
  """Returns log p(x) with an objective: the sum of what all layers that are on predict.

  Args:
    extra: what is predicted besides, and how long.
    predict: `Causal.with_auxiliary`.
    batch, conditions: as for the model's own prediction.
    state: of the model, which counts updates.
  """
  on = layers_on(state["updates"], extra.steps, extra.num_layers)
  own, first, second = predict(batch.x, conditions, of_logits, on)
  scored = scored_positions(batch)
  nats = sum_valid(own, scored)
  after = following(scored, False, batch.x.shape[1:])
  objective = nats + sum_valid(first, scored) + extra.second_target * sum_valid(second, scored & after)
  return Bound(nats, {"log_prob": nats}, objective=objective)
