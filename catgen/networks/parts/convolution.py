"""Convolutions over maps, in the initialization of PyTorch and so of the paper's code."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from catgen.interfaces import InputError
from catgen.kernels.convolution import convolve, convolve_within, double


class Convolution(nnx.Module):
  """A convolution over [batch, height, width, features] of odd `size`, with (size - 1) / 2 zeros at each border.

  Kernel and bias are uniform within 1 / sqrt(fan in), or zero with `zeros`; the product is computed in `dtype`.
  """

  def __init__(
    self,
    num_inputs: int,
    num_outputs: int,
    size: int = 3,
    *,
    stride: int = 1,
    zeros: bool = False,
    dtype: np.dtype | type = jnp.float32,
    rngs: nnx.Rngs,
  ) -> None:
    self.stride, self.dtype = stride, jnp.dtype(dtype)
    draw = _uniform(size * size * num_inputs, zeros)
    self.kernel = nnx.Param(draw(rngs.params(), (size, size, num_inputs, num_outputs)))
    self.bias = nnx.Param(draw(rngs.params(), (num_outputs,)))

  def __call__(
    self, h: Float[Array, "batch height width inputs"]
  ) -> Float[Array, "batch new_height new_width outputs"]:
    """Returns features of every position, or with a stride of every so manieth, in `dtype`."""
    made = convolve(h.astype(self.dtype), self.kernel[...], stride=self.stride)
    return (made.astype(jnp.float32) + self.bias[...][None, None, None]).astype(self.dtype)


class WithinConvolution(nnx.Module):
  """A convolution of all windows of (rows, columns) that lie within what it reads: no zeros are added at the borders.

  Kernel, bias and `dtype`: see `Convolution`.
  """

  def __init__(
    self,
    num_inputs: int,
    num_outputs: int,
    shape: tuple[int, int],
    *,
    dtype: np.dtype | type = jnp.float32,
    rngs: nnx.Rngs,
  ) -> None:
    self.dtype = jnp.dtype(dtype)
    draw = _uniform(shape[0] * shape[1] * num_inputs, False)
    self.kernel = nnx.Param(draw(rngs.params(), (*shape, num_inputs, num_outputs)))
    self.bias = nnx.Param(draw(rngs.params(), (num_outputs,)))

  def __call__(
    self, h: Float[Array, "batch padded_height padded_width inputs"]
  ) -> Float[Array, "batch height width outputs"]:
    """Returns features of every window, in `dtype`."""
    made = convolve_within(h.astype(self.dtype), self.kernel[...])
    return (made.astype(jnp.float32) + self.bias[...][None, None, None]).astype(self.dtype)


class Doubling(nnx.Module):
  """The transposed convolution of size 4 and stride 2 that doubles height and width."""

  def __init__(self, num_features: int, *, dtype: np.dtype | type = jnp.float32, rngs: nnx.Rngs) -> None:
    # PyTorch takes the fan in of a transposed kernel from its outputs: equal here
    draw = _uniform(16 * num_features, False)
    self.kernel = nnx.Param(draw(rngs.params(), (4, 4, num_features, num_features)))
    self.bias = nnx.Param(draw(rngs.params(), (num_features,)))
    self.dtype = jnp.dtype(dtype)

  def __call__(self, h: Float[Array, "batch height width features"]) -> Float[Array, "batch 2*height 2*width features"]:
    """Returns features of the map twice as high and wide, in `dtype`."""
    doubled = double(h.astype(self.dtype), self.kernel[...])
    return (doubled.astype(jnp.float32) + self.bias[...][None, None, None]).astype(self.dtype)


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


def _uniform(fan_in: int, zeros: bool) -> Callable[[Array, tuple[int, ...]], Array]:
  scale = 0.0 if zeros else fan_in**-0.5
  return lambda key, shape: jax.random.uniform(key, shape, jnp.float32, -1.0, 1.0) * scale
