"""Convolutions over maps, in the initialization of PyTorch and so of the paper's code."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from catgen.interfaces import InputError
from catgen.kernels.convolution import convolve, double


def convolution(
  num_inputs: int,
  num_outputs: int,
  size: int = 3,
  *,
  stride: int = 1,
  zeros: bool = False,
  dtype: np.dtype | type = jnp.float32,
  rngs: nnx.Rngs,
) -> nnx.Conv:
  """Returns a convolution of odd `size` over [batch, height, width, features], (size - 1) / 2 zeros at each border.

  Kernel and bias are uniform within 1 / sqrt(fan in), or zero with `zeros`; the product is computed in `dtype`.
  """
  pad = (size - 1) // 2
  options = _start(size * size * num_inputs, zeros)
  return nnx.Conv(
    num_inputs,
    num_outputs,
    (size, size),
    strides=stride,
    padding=((pad, pad), (pad, pad)),
    conv_general_dilated=convolve,
    dtype=dtype,
    rngs=rngs,
    **options,
  )


class Doubling(nnx.Module):
  """The transposed convolution of size 4 and stride 2 that doubles height and width."""

  def __init__(self, num_features: int, *, dtype: np.dtype | type = jnp.float32, rngs: nnx.Rngs) -> None:
    # PyTorch takes the fan in of a transposed kernel from its outputs: equal here
    start = _start(16 * num_features, False)
    self.kernel = nnx.Param(start["kernel_init"](rngs.params(), (4, 4, num_features, num_features)))
    self.bias = nnx.Param(start["bias_init"](rngs.params(), (num_features,)))
    self.dtype = dtype

  def __call__(self, h: Float[Array, "batch height width features"]) -> Float[Array, "batch 2*height 2*width features"]:
    """Returns features of the map twice as high and wide, in `dtype`."""
    doubled = double(h.astype(self.dtype), self.kernel[...].astype(self.dtype))
    return doubled + self.bias[...].astype(self.dtype)[None, None, None]


def check_multiple(event_shape: tuple[int, ...], factor: int, network: str) -> None:
  """Raises InputError unless `factor` divides the height and the width of maps [batch, height, width]."""
  if any(size % factor for size in event_shape):
    raise InputError(
      f"{network} needs maps whose height and width are multiples of {factor}, not events of shape"
      f" {tuple(event_shape)}; resize the data or use fewer levels"
    )


def blank_invalid(
  h: Float[Array, "batch height width features"], valid: Bool[Array, "batch height width"] | None
) -> Float[Array, "batch height width features"]:
  """Returns features that are zero where a position is invalid, so that nothing of what it holds is read."""
  return h if valid is None else jnp.where(valid[..., None], h, jnp.zeros_like(h))


def _start(fan_in: int, zeros: bool) -> dict[str, Any]:
  scale = 0.0 if zeros else fan_in**-0.5

  def draw(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32, **_: Any) -> Array:
    return jax.random.uniform(key, shape, dtype, -1.0, 1.0) * scale

  return {"kernel_init": draw, "bias_init": draw}
