"""Coupling: some channels of every position are transformed given others, of all positions."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from catgen.flows.layer import Latents, Layer, LogDet, Transform, Values
from catgen.flows.layers.transforms import AffineTransform, MixtureTransform
from catgen.interfaces import InputError
from catgen.networks.conditions import Conditions


class Coupling(Layer):
  """A transform of channels kept, kept + 1, ..., as many as it has; all other channels stay.

  Its features are computed by a conditioner, which reads the first `kept` channels of all positions. So the changed
  channels of two positions depend on each other through the kept ones alone.
  """

  def __init__(self, kept: int, conditioner: Any, transform: Transform) -> None:
    self.conditioner, self.transform = conditioner, transform
    self.kept, self.end = kept, kept + transform.num_channels

  def forward(self, z: Latents, conditions: Conditions) -> tuple[Values, LogDet]:
    """See `Layer.forward`."""
    return self._changed(self.transform.forward, z, conditions)

  def inverse(self, v: Values, conditions: Conditions) -> tuple[Latents, LogDet]:
    """See `Layer.inverse`."""
    return self._changed(self.transform.inverse, v, conditions)

  def _changed(self, transform: Callable, x: Array, conditions: Conditions) -> tuple[Array, Array]:
    kept, rest = x[..., : self.kept], x[..., self.end :]
    features = self.conditioner(kept, conditions)
    y, log_det = transform(x[..., self.kept : self.end], features)
    return jnp.concatenate([kept, y, rest], axis=-1), log_det


def half_coupling(num_channels: int, num_mixtures: int, conditioner: Callable[..., Any]) -> Coupling:
  """Returns the coupling of the second half of the channels given the first C // 2.

  Args:
    num_mixtures: components of a mixture-of-logistics CDF; 0 = an affine map.
    conditioner: (num_channels=, num_outputs=) -> conditioner.

  Raises:
    InputError: there is one channel.
  """
  if num_channels < 2:
    raise InputError("a coupling flow needs at least two latent channels; use an autoregressive flow or another base")
  kept = num_channels // 2
  changed = num_channels - kept
  transform = MixtureTransform(changed, num_mixtures) if num_mixtures else AffineTransform(changed)
  return Coupling(kept, conditioner(num_channels=kept, num_outputs=transform.num_features), transform)
