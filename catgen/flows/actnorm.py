"""Normalization by learned constants that start at the statistics of the first batch."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key

from catgen.bijections import affine
from catgen.flows.positions import total


class ActNorm(nnx.Module):
  """z = (v - shift) / exp(log_scale) per channel: mean 0 and deviation 1 on the batch given to `initialize`.

  Reference: Kingma and Dhariwal (2018). Without `initialize` it starts as the identity.
  """

  def __init__(self, num_channels: int) -> None:
    self.shift = nnx.Param(jnp.zeros((num_channels,)))
    self.log_scale = nnx.Param(jnp.zeros((num_channels,)))

  def initialize(
    self, v: Float[Array, "batch length channels"], *, valid: Bool[Array, "batch length"] | None = None
  ) -> None:
    """Sets shift and scale to mean and log(deviation + 1e-6) over examples and valid positions."""
    weight = jnp.ones(v.shape[:2]) if valid is None else valid.astype(v.dtype)
    weight = (weight / weight.sum())[..., None]
    mean = (weight * v).sum(axis=(0, 1))
    variance = (weight * jnp.square(v - mean[None, None])).sum(axis=(0, 1))
    # by `set_value`: an assignment to [...] compares shardings, which takes milliseconds under a trace
    self.shift.set_value(mean)
    self.log_scale.set_value(jnp.log(jnp.sqrt(variance) + 1e-6))

  def forward(
    self,
    z: Float[Array, "batch length channels"],
    *,
    context: Float[Array, "batch length context"] | None = None,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> tuple[Float[Array, "batch length channels"], Float[Array, "batch"]]:
    """Returns (v, log_det)."""
    v, log_det = affine.forward(z, self.shift[...][None, None], self.log_scale[...][None, None])
    return v, total(log_det, valid)

  def inverse(
    self,
    v: Float[Array, "batch length channels"],
    *,
    context: Float[Array, "batch length context"] | None = None,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> tuple[Float[Array, "batch length channels"], Float[Array, "batch"]]:
    """Returns (z, log_det)."""
    z, log_det = affine.inverse(v, self.shift[...][None, None], self.log_scale[...][None, None])
    return z, total(log_det, valid)
