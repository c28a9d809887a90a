"""Draws the time step of each training example: uniform, stratified, or where the loss is large.

Loss-aware importance sampling follows arXiv:2102.05379 and its code: p(t) is proportional to sqrt(H_t + 1e-10) + 1e-4
with H_t a moving average of the squared loss L_t (nats of one example), once every step has been seen more than ten
times.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

_DECAY = 0.9
_WARM_UP_COUNT = 10


class History(NamedTuple):
  """Moving average of squared losses and number of visits for each of T steps (entry t - 1)."""

  squares: Float[Array, "steps"]
  counts: Int[Array, "steps"]


def init(num_steps: int) -> History:
  """Returns an empty history of [steps] zeros: sampling starts uniform."""
  return History(jnp.zeros(num_steps), jnp.zeros(num_steps, jnp.int32))


def probabilities(history: History) -> Float[Array, "steps"]:
  """Returns p(t) for t = 1..T: loss-aware after warm-up, uniform before. The first step borrows the second's weight."""
  weights = jnp.sqrt(history.squares + 1e-10) + 1e-4
  if weights.shape[0] > 1:
    weights = weights.at[0].set(weights[1])
  ready = jnp.all(history.counts > _WARM_UP_COUNT)
  return jnp.where(ready, weights / weights.sum(), 1.0 / weights.shape[0])


def draw(uniforms: Float[Array, "batch"], p: Float[Array, "steps"]) -> Int[Array, "batch"]:
  """Returns t in {1..T} with probability p[t - 1], by the inverse CDF: stratified uniforms give stratified steps."""
  return jnp.minimum(jnp.searchsorted(jnp.cumsum(p), uniforms, side="right"), p.shape[0] - 1) + 1


def draw_uniform(uniforms: Float[Array, "batch"], num_steps: int) -> Int[Array, "batch"]:
  """Returns floor(u T) + 1 in {1..T}."""
  return jnp.minimum(jnp.floor(uniforms * num_steps).astype(jnp.int32), num_steps - 1) + 1


def update(
  history: History, t: Int[Array, "batch"], losses: Float[Array, "batch"], valid: Bool[Array, "batch"]
) -> History:
  """Returns the history after a batch. Examples that share a step are averaged, so that the result is deterministic."""
  weight = valid.astype(jnp.float32)
  seen = jnp.zeros_like(history.squares).at[t - 1].add(weight)
  total = jnp.zeros_like(history.squares).at[t - 1].add(weight * losses**2)
  mean = total / jnp.maximum(seen, 1.0)
  squares = jnp.where(seen > 0, _DECAY * history.squares + (1 - _DECAY) * mean, history.squares)
  return History(squares, history.counts + seen.astype(jnp.int32))
