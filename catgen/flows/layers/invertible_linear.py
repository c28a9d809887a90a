"""An invertible matrix on the channels of every position (a 1x1 convolution)."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from catgen.flows.layer import Latents, Layer, LogDet, Values
from catgen.networks.conditions import Conditions


class InvertibleLinear(Layer):
  """z = v W with W orthogonal at first; log_det = log |det W| per position (Kingma and Dhariwal, 2018)."""

  def __init__(self, num_channels: int, *, rngs: nnx.Rngs) -> None:
    self.kernel = nnx.Param(jax.random.orthogonal(rngs.params(), num_channels))

  def forward(self, z: Latents, conditions: Conditions) -> tuple[Values, LogDet]:
    """See `Layer.forward`; by the inverse of the matrix, since a linear system is not solved in parts on devices."""
    return _product(z, jnp.linalg.inv(self.kernel[...])), jnp.broadcast_to(-self._log_det(), z.shape[:-1])

  def inverse(self, v: Values, conditions: Conditions) -> tuple[Latents, LogDet]:
    """See `Layer.inverse`."""
    return _product(v, self.kernel[...]), jnp.broadcast_to(self._log_det(), v.shape[:-1])

  def _log_det(self) -> Array:
    return jnp.linalg.slogdet(self.kernel[...])[1]


def _product(values: Array, kernel: Array) -> Array:
  """Returns the product over the last axis in full float32: log_det belongs to the matrix as it is."""
  flat = jnp.matmul(values.reshape(-1, values.shape[-1]), kernel, precision="highest")
  return flat.reshape(values.shape)
