"""An invertible matrix on the channels of every position (a 1x1 convolution)."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key

from catgen.flows.positions import count


class InvertibleLinear(nnx.Module):
  """z = v W with W orthogonal at first; log_det = log |det W| per valid position (Kingma and Dhariwal, 2018)."""

  def __init__(self, num_channels: int, *, rngs: nnx.Rngs) -> None:
    self.kernel = nnx.Param(jax.random.orthogonal(rngs.params(), num_channels))

  def forward(
    self,
    z: Float[Array, "batch length channels"],
    *,
    context: Float[Array, "batch length context"] | None = None,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> tuple[Float[Array, "batch length channels"], Float[Array, "batch"]]:
    """Returns (v, log_det), by solving a linear system."""
    v = jnp.linalg.solve(self.kernel[...].T, z.reshape(-1, z.shape[-1]).T).T.reshape(z.shape)
    return v, -self._log_det(z, valid)

  def inverse(
    self,
    v: Float[Array, "batch length channels"],
    *,
    context: Float[Array, "batch length context"] | None = None,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> tuple[Float[Array, "batch length channels"], Float[Array, "batch"]]:
    """Returns (z, log_det)."""
    return (v.reshape(-1, v.shape[-1]) @ self.kernel[...]).reshape(v.shape), self._log_det(v, valid)

  def _log_det(self, like: Array, valid: Array | None) -> Array:
    return jnp.linalg.slogdet(self.kernel[...])[1] * count(like, valid)
