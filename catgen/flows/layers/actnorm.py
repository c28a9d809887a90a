"""Normalization by learned constants that start at the statistics of the first batch."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from catgen.bijections import affine
from catgen.flows.layer import Latents, Layer, LogDet, Values
from catgen.networks.conditions import Conditions


class ActNorm(Layer):
  """z = (v - shift) / exp(log_scale) per channel: mean 0 and deviation 1 on the batch given to `initialize`.

  Reference: Kingma and Dhariwal (2018). Without `initialize` it starts as the identity.
  """

  def __init__(self, num_channels: int) -> None:
    self.shift = nnx.Param(jnp.zeros((num_channels,)))
    self.log_scale = nnx.Param(jnp.zeros((num_channels,)))

  def initialize(self, v: Values, conditions: Conditions) -> None:
    """Sets shift and scale to mean and log(deviation + 1e-6) over examples and valid positions."""
    axes = tuple(range(v.ndim - 1))
    weight = jnp.ones(v.shape[:-1]) if conditions.valid is None else conditions.valid.astype(v.dtype)
    weight = (weight / weight.sum())[..., None]
    mean = (weight * v).sum(axis=axes)
    variance = (weight * jnp.square(v - _everywhere(mean, v.ndim))).sum(axis=axes)
    # by `set_value`: an assignment to [...] compares shardings, which takes milliseconds under a trace
    self.shift.set_value(mean)
    self.log_scale.set_value(jnp.log(jnp.sqrt(variance) + 1e-6))

  def forward(self, z: Latents, conditions: Conditions) -> tuple[Values, LogDet]:
    """See `Layer.forward`."""
    v, log_det = affine.forward(z, *(_everywhere(p[...], z.ndim) for p in (self.shift, self.log_scale)))
    return v, log_det.sum(axis=-1)

  def inverse(self, v: Values, conditions: Conditions) -> tuple[Latents, LogDet]:
    """See `Layer.inverse`."""
    z, log_det = affine.inverse(v, *(_everywhere(p[...], v.ndim) for p in (self.shift, self.log_scale)))
    return z, log_det.sum(axis=-1)


def _everywhere(channels: Array, ndim: int) -> Array:
  """Returns numbers of channels as they are added to values of `ndim` axes."""
  return channels.reshape((1,) * (ndim - 1) + channels.shape)
