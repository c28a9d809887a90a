"""Normalization of features, its shift, scale and gate functions of time, or plain parameters where there is none."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Float32

from catgen.kernels.normalization import layer_norm
from catgen.meshes import spread


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
      vectors = spread(vectors + time @ self.kernel[...])
    return jnp.split(vectors[:, None], self.count, axis=-1)


def modulated_norm(h: Array, shift: Array, scale: Array) -> Float[Array, "batch length width"]:
  """Returns a layer norm of h without parameters of its own, times 1 + scale, plus shift, in the dtype of h."""
  return layer_norm(h, 1.0 + scale, shift)


class LayerNorm(nnx.Module):
  """A layer norm with a scale and a bias of each feature, computed in float32.

  deviation: of the scales from one, at first.
  """

  def __init__(self, width: int, *, deviation: float = 0.0, rngs: nnx.Rngs) -> None:
    noise = deviation * jax.random.normal(rngs.params(), (width,)) if deviation else 0.0
    self.scale = nnx.Param(jnp.ones((width,)) + noise)
    self.bias = nnx.Param(jnp.zeros((width,)))

  def __call__(self, h: Float[Array, "batch length width"]) -> Float[Array, "batch length width"]:
    """Returns normalized features in the dtype of h."""
    return layer_norm(h, self.scale[...][None, None], self.bias[...][None, None])


class ModulatedNorm(nnx.Module):
  """The last norm of a trunk: a layer norm modulated by time, in float32."""

  def __init__(self, width: int, *, time_width: int | None) -> None:
    self.modulation = Modulation(width, 2, time_width=time_width)

  def __call__(
    self, h: Float[Array, "batch length width"], time: Float[Array, "batch time_width"] | None
  ) -> Float32[Array, "batch length width"]:
    """Returns normalized features."""
    return modulated_norm(h.astype(jnp.float32), *self.modulation(time))
