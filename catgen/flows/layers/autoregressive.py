"""An autoregressive layer: each position transformed given all before it in row-major order."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from catgen.flows.layer import Latents, Layer, LogDet, Transform, Values
from catgen.networks.conditions import Conditions


class Autoregressive(Layer):
  """A transform of every position whose features a causal conditioner computes from the positions before it.

  `inverse` (likelihood) is parallel. `forward` (sampling) is one compiled scan over positions that carries the
  conditioner's state, so its cost is linear in their number; every position must be valid.
  """

  def __init__(self, conditioner: Any, transform: Transform) -> None:
    self.conditioner, self.transform = conditioner, transform

  def forward(self, z: Latents, conditions: Conditions) -> tuple[Values, LogDet]:
    """See `Layer.forward`."""
    rows = z.reshape(len(z), -1, z.shape[-1])

    def step(carry: tuple[Any, Array], position: Array) -> tuple[tuple[Any, Array], tuple[Array, Array]]:
      cache, previous = carry
      features, cache = self.conditioner.decode(cache, previous, position, given=conditions.given)
      own = jax.lax.dynamic_index_in_dim(rows, position, axis=1, keepdims=False)
      v, log_det = self.transform.forward(own, features)
      return (cache, v), (v, log_det)

    start = (self.conditioner.init_cache(len(z)), jnp.zeros_like(rows[:, 0]))
    _, (v, log_det) = jax.lax.scan(step, start, jnp.arange(rows.shape[1]))
    return v.swapaxes(0, 1).reshape(z.shape), log_det.T.reshape(z.shape[:-1])

  def inverse(self, v: Values, conditions: Conditions) -> tuple[Latents, LogDet]:
    """See `Layer.inverse`."""
    return self.transform.inverse(v, self.conditioner(v, conditions))
