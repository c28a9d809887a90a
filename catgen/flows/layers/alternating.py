"""Coupling of positions: every second one is transformed given the others."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from catgen.flows.layer import Latents, Layer, LogDet, Transform, Values
from catgen.networks.conditions import Conditions


class Alternating(Layer):
  """A transform of the positions whose coordinates have an odd sum, or an even one; all other positions stay.

  Its features are computed by a conditioner, which reads zeros where positions are changed, and one channel more that
  says so: without it a trunk with norms would read nothing there, which they magnify. On maps the changed positions are
  the fields of one color of a chessboard.

  Args:
    parity: 0 or 1, of the positions that are changed.
    conditioner: from one channel more than values have.
  """

  def __init__(self, event_shape: tuple[int, ...], parity: int, conditioner: Any, transform: Transform) -> None:
    self.event_shape, self.parity = tuple(event_shape), parity
    self.conditioner, self.transform = conditioner, transform

  def forward(self, z: Latents, conditions: Conditions) -> tuple[Values, LogDet]:
    """See `Layer.forward`."""
    return self._where_changed(self.transform.forward(z, self.features(z, conditions)), z)

  def inverse(self, v: Values, conditions: Conditions) -> tuple[Latents, LogDet]:
    """See `Layer.inverse`."""
    return self._where_changed(self.transform.inverse(v, self.features(v, conditions)), v)

  def features(self, x: Array, conditions: Conditions) -> Array:
    """Returns what the conditioner makes of the positions that stay."""
    changed = jnp.broadcast_to(self.changed()[..., None], (*x.shape[:-1], 1))
    return self.conditioner(jnp.concatenate([jnp.where(changed, 0.0, x), changed.astype(x.dtype)], -1), conditions)

  def changed(self) -> Bool[np.ndarray, "1 *event"]:
    """Returns which positions are changed."""
    return (np.indices(self.event_shape).sum(axis=0) % 2 == self.parity)[None]

  def _where_changed(self, made: tuple[Array, Array], x: Array) -> tuple[Array, Array]:
    values, log_det = made
    return jnp.where(self.changed()[..., None], values, x), jnp.where(self.changed(), log_det, 0.0)
