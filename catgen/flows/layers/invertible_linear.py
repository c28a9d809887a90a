"""An invertible matrix on the channels of every position (a 1x1 convolution)."""

import jax
import jax.numpy as jnp
from flax import nnx

from catgen.flows.layer import Latents, Layer, LogDet, Values
from catgen.networks.conditions import Conditions


class InvertibleLinear(Layer):
  """z = v W with W orthogonal at first; log_det = log |det W| per position (Kingma and Dhariwal, 2018)."""

  def __init__(self, num_channels: int, *, rngs: nnx.Rngs) -> None:
    self.kernel = nnx.Param(jax.random.orthogonal(rngs.params(), num_channels))

  def forward(self, z: Latents, conditions: Conditions) -> tuple[Values, LogDet]:
    """See `Layer.forward`; it solves a linear system."""
    v = jnp.linalg.solve(self.kernel[...].T, z.reshape(-1, z.shape[-1]).T).T.reshape(z.shape)
    return v, jnp.broadcast_to(-self._log_det(), v.shape[:-1])

  def inverse(self, v: Values, conditions: Conditions) -> tuple[Latents, LogDet]:
    """See `Layer.inverse`."""
    z = (v.reshape(-1, v.shape[-1]) @ self.kernel[...]).reshape(v.shape)
    return z, jnp.broadcast_to(self._log_det(), v.shape[:-1])

  def _log_det(self) -> jax.Array:
    return jnp.linalg.slogdet(self.kernel[...])[1]
