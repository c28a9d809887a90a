"""Layer normalization whose shift, scale and gate depend on time, or are plain parameters where there is no time."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


def layer_norm(h: Float[Array, "batch length width"]) -> Float[Array, "batch length width"]:
  """Returns (h - mean) / sqrt(variance + 1e-6) over features, without learned parameters, computed in float32."""
  centered = h.astype(jnp.float32)
  centered = centered - centered.mean(axis=-1, keepdims=True)
  variance = jnp.square(centered).mean(axis=-1, keepdims=True)
  return (centered * jax.lax.rsqrt(variance + 1e-6)).astype(h.dtype)


class Modulation(nnx.Module):
  """`count` feature vectors, zero at first: functions of time in a denoising network, else plain parameters."""

  def __init__(self, width: int, count: int, *, time_width: int | None) -> None:
    self.count = count
    self.kernel = None if time_width is None else nnx.Param(jnp.zeros((time_width, count * width)))
    self.bias = nnx.Param(jnp.zeros((count * width,)))

  def __call__(self, time: Float[Array, "batch time_width"] | None) -> list[Float[Array, "examples 1 width"]]:
    """Returns the vectors in float32; one example stands for all without time."""
    vectors = self.bias[...][None]
    if self.kernel is not None and time is not None:
      vectors = vectors + time @ self.kernel[...]
    return jnp.split(vectors[:, None], self.count, axis=-1)


def modulated_norm(h: Array, shift: Array, scale: Array) -> Float[Array, "batch length width"]:
  """Returns layer_norm(h) (1 + scale) + shift in the dtype of h."""
  return (layer_norm(h).astype(jnp.float32) * (1.0 + scale) + shift).astype(h.dtype)
