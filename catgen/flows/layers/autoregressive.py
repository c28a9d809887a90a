"""Autoregressive layers: each position transformed given all before it in row-major order."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from catgen.flows.layer import Latents, Layer, LogDet, Transform, Values
from catgen.networks.conditions import Conditions


class Autoregressive(Layer):
  """A transform of every position whose features a causal conditioner computes from the positions before it.

  The conditioner reads values (an autoregressive flow): `inverse` (likelihood) is parallel, and `forward` (sampling) is
  one compiled scan over positions that carries the conditioner's state, so its cost is linear in their number. With
  `reads_noise` it reads the noise (an inverse autoregressive flow), and the two change places: a sample takes one pass.
  In turn nothing is dropped, and the conditioner reads zeros where a position is not valid.
  """

  def __init__(self, conditioner: Any, transform: Transform, *, reads_noise: bool = False) -> None:
    self.conditioner, self.transform, self.reads_noise = conditioner, transform, reads_noise

  def forward(self, z: Latents, conditions: Conditions) -> tuple[Values, LogDet]:
    """See `Layer.forward`."""
    if self.reads_noise:
      return self.transform.forward(z, self.conditioner(z, conditions))
    return self._in_turn(self.transform.forward, z, conditions)

  def inverse(self, v: Values, conditions: Conditions) -> tuple[Latents, LogDet]:
    """See `Layer.inverse`."""
    if self.reads_noise:
      return self._in_turn(self.transform.inverse, v, conditions)
    return self.transform.inverse(v, self.conditioner(v, conditions))

  def _in_turn(self, transform: Callable, x: Array, conditions: Conditions) -> tuple[Array, Array]:
    """Returns what a transform makes of x, given features of what it has made of the positions before."""
    rows = x.reshape(len(x), -1, x.shape[-1])
    valid = None if conditions.valid is None else conditions.valid.reshape(len(x), -1)

    def step(carry: tuple[Any, Array], position: Array) -> tuple[tuple[Any, Array], tuple[Array, Array]]:
      cache, previous = carry
      features, cache = self.conditioner.decode(cache, previous, position, given=conditions.given)
      own = jax.lax.dynamic_index_in_dim(rows, position, axis=1, keepdims=False)
      y, log_det = transform(own, features)
      read = y if valid is None else jnp.where(valid[:, position, None], y, 0.0)
      return (cache, read), (y, log_det)

    start = (self.conditioner.init_cache(len(x)), jnp.zeros_like(rows[:, 0]))
    _, (y, log_det) = jax.lax.scan(step, start, jnp.arange(rows.shape[1]))
    return y.swapaxes(0, 1).reshape(x.shape), log_det.T.reshape(x.shape[:-1])
