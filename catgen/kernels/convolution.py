"""Convolutions over maps and sequences: those over maps in forms that are fast on a CPU too."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from catgen.kernels import winograd
from catgen.meshes import spread

# Where tiles cost less on a CPU than they save: enough of them, and products worth a matrix product. Devices that share
# a batch would add up 36 values of a kernel in place of its nine taps.
_MIN_TILES, _MIN_PAIRS = 32, 1024
# Where XLA's own kernel gradient is slower than products by example and tap.
_MIN_POSITIONS, _MIN_PAIRS_OF_LONG_SUMS = 512, 2048
_SPATIAL = ("NHWC", "HWIO", "NHWC")


def convolve(
  x: Float[Array, "batch height width inputs"], kernel: Float[Array, "taps taps inputs outputs"], *, stride: int = 1
) -> Float[Array, "batch new_height new_width outputs"]:
  """Returns the convolution with an odd kernel, zeros at the borders, in the dtype of x; its kernel may be float32.

  On one CPU large convolutions of 3 x 3 that keep height and width, in float32, are those of `catgen.kernels.winograd`,
  and others get their kernel gradient from a matrix product per example and tap. A kernel's gradient is summed over
  examples in the kernel's dtype, see `catgen.kernels.product`. None has a forward-mode derivative (`jax.jvp`).
  """
  if stride == 1 and _in_tiles(x, kernel):
    return _tiled(x, kernel)
  if stride == 1 and len(kernel) > 1 and _slow(x, kernel):
    return spread(_same(x, kernel))
  return spread(_convolved(stride, len(kernel) // 2, x, kernel))


def convolve_within(
  padded: Float[Array, "batch padded_height padded_width inputs"],
  kernel: Float[Array, "rows columns inputs outputs"],
) -> Float[Array, "batch height width outputs"]:
  """Returns the convolution of all windows that lie within `padded`, in its dtype; gradients are as of `convolve`."""
  if kernel.shape[0] * kernel.shape[1] > 1 and _slow(padded, kernel):
    return spread(_within(padded, kernel))
  return spread(_convolved(1, 0, padded, kernel))


def _in_tiles(x: Array, kernel: Array) -> bool:
  """Returns whether a convolution is one that tiles make faster on a CPU."""
  large = winograd.num_tiles(x.shape) >= _MIN_TILES and kernel.shape[2] * kernel.shape[3] >= _MIN_PAIRS
  alone = jax.sharding.get_abstract_mesh().size <= 1
  return kernel.shape[:2] == (3, 3) and large and alone and x.dtype == kernel.dtype == jnp.float32


def _slow(x: Array, kernel: Array) -> bool:
  """Returns whether a convolution is one whose kernel gradient XLA computes slowly on CPUs."""
  large = x.shape[1] * x.shape[2] >= _MIN_POSITIONS and kernel.shape[2] * kernel.shape[3] >= _MIN_PAIRS_OF_LONG_SUMS
  return large and x.dtype == kernel.dtype == jnp.float32


def _convolved(stride: int, pad: int, x: Array, kernel: Array) -> Array:
  """Returns the convolution in the dtype of x, with a kernel gradient that is computed in the kernel's dtype."""
  return _plainly(stride, pad, x, kernel) if x.dtype == kernel.dtype else _narrow(stride, pad, x, kernel)


def _plainly(stride: int, pad: int, x: Array, kernel: Array) -> Array:
  return jax.lax.conv_general_dilated(x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=_SPATIAL)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _narrow(stride: int, pad: int, x: Array, kernel: Array) -> Array:
  return _plainly(stride, pad, x, kernel.astype(x.dtype))


def _narrow_forward(stride: int, pad: int, x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
  return _narrow(stride, pad, x, kernel), (x, kernel)


def _narrow_backward(stride: int, pad: int, kept: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
  x, kernel = kept
  narrow, wide = kernel.astype(x.dtype), x.astype(kernel.dtype)
  (d_x,) = jax.linear_transpose(lambda x: _plainly(stride, pad, x, narrow), x)(slope)
  (d_kernel,) = jax.linear_transpose(lambda kernel: _plainly(stride, pad, wide, kernel), kernel)(
    slope.astype(kernel.dtype)
  )
  return d_x, d_kernel


_narrow.defvjp(_narrow_forward, _narrow_backward)


def convolve_plainly(
  x: Float[Array, "batch height width inputs"], kernel: Float[Array, "taps taps inputs outputs"]
) -> Float[Array, "batch height width outputs"]:
  """Returns the convolution that keeps height and width, with XLA's own gradients: the plain form of `convolve`."""
  return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=_SPATIAL)


@jax.custom_vjp
def _tiled(x: Array, kernel: Array) -> Array:
  return jax.lax.platform_dependent(x, kernel, cpu=winograd.convolve, default=convolve_plainly)


def _tiled_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
  return _tiled(x, kernel), (x, kernel)


def _tiled_backward(kept: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
  x, kernel = kept
  d_x = jax.lax.platform_dependent(slope, kernel, cpu=winograd.input_gradient, default=_input_gradient_by_library)
  d_kernel = jax.lax.platform_dependent(x, slope, cpu=winograd.kernel_gradient, default=_kernel_gradient_by_library)
  return d_x, d_kernel


_tiled.defvjp(_tiled_forward, _tiled_backward)


def _kernel_gradient_by_library(x: Array, slope: Array, taps: int = 3) -> Array:
  """Returns the gradient of the kernel of `convolve_plainly`."""
  kernel = jax.ShapeDtypeStruct((taps, taps, x.shape[3], slope.shape[3]), x.dtype)
  return jax.linear_transpose(lambda kernel: convolve_plainly(x, kernel), kernel)(slope)[0]


def _input_gradient_by_library(slope: Array, kernel: Array) -> Array:
  """Returns the gradient of the inputs of `convolve_plainly`."""
  x = jax.ShapeDtypeStruct((*slope.shape[:3], kernel.shape[2]), slope.dtype)
  return jax.linear_transpose(lambda x: convolve_plainly(x, kernel), x)(slope)[0]


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
  return convolve_plainly(x, kernel), (x, kernel)


def _backward(kept: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
  x, kernel = kept
  by_products, by_library = (
    functools.partial(form, taps=len(kernel)) for form in (kernel_gradient, _kernel_gradient_by_library)
  )
  d_kernel = jax.lax.platform_dependent(x, slope, cpu=by_products, default=by_library)
  return _input_gradient_by_library(slope, kernel), d_kernel


_same = jax.custom_vjp(convolve_plainly)
_same.defvjp(_forward, _backward)


def kernel_gradient(
  x: Float[Array, "batch height width inputs"], slope: Float[Array, "batch height width outputs"], taps: int
) -> Float[Array, "taps taps inputs outputs"]:
  """Returns the sum over examples and positions of x, moved by each tap, times the slope of the output."""
  pad = taps // 2
  return _gradient_within(jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0))), slope)


def _gradient_within(padded: Array, slope: Array) -> Array:
  """Returns the kernel's gradient of `convolve_within`, [rows, columns, inputs, outputs]."""
  height, width = slope.shape[1:3]
  rows, columns = padded.shape[1] - height + 1, padded.shape[2] - width + 1
  # The slope is transposed once, and no moved part of x: those are copied, and by rows that takes half the time.
  transposed = slope.reshape(len(slope), height * width, -1).swapaxes(1, 2)

  def add(total: Array, example: tuple[Array, Array]) -> tuple[Array, None]:
    one, slopes = example
    moved = [one[i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
    return total + jnp.stack([slopes @ part.reshape(height * width, -1) for part in moved]), None

  start = jnp.zeros((rows * columns, slope.shape[3], padded.shape[3]))
  total, _ = jax.lax.scan(add, start, (padded, transposed))
  return total.reshape(rows, columns, *total.shape[1:]).swapaxes(2, 3)


@jax.custom_vjp
def _within(padded: Array, kernel: Array) -> Array:
  return _plainly(1, 0, padded, kernel)


def _within_forward(padded: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
  return _within(padded, kernel), (padded, kernel)


def _within_backward(kept: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
  padded, kernel = kept

  def by_library(padded: Array, slope: Array) -> Array:
    return jax.linear_transpose(lambda kernel: _plainly(1, 0, padded, kernel), kernel)(slope)[0]

  d_kernel = jax.lax.platform_dependent(padded, slope, cpu=_gradient_within, default=by_library)
  return jax.linear_transpose(lambda padded: _plainly(1, 0, padded, kernel), padded)(slope)[0], d_kernel


_within.defvjp(_within_forward, _within_backward)


def double(
  h: Float[Array, "batch height width features"], kernel: Float[Array, "4 4 features outputs"]
) -> Float[Array, "batch 2*height 2*width outputs"]:
  """Returns the transposed convolution of stride 2, which doubles height and width, as one convolution of size 2.

  Of the 4 x 4 kernel each of the four outputs of a position reads its own 2 x 2, so nothing is multiplied by the zeros
  between the inputs; the gradient of the kernel is many times faster on a CPU than that of `double_plainly`.
  """
  batch, height, width, features = h.shape
  kernel = kernel.reshape(2, 2, 2, 2, features, -1).transpose(0, 2, 4, 1, 3, 5).reshape(2, 2, features, -1)
  # padded here: XLA swaps the operands of the kernel's gradient where the input is the smaller one, and is slow then
  padded = jnp.pad(h, ((0, 0), (1, 1), (1, 1), (0, 0)))
  windows = spread(_convolved(1, 0, padded, kernel)).reshape(batch, height + 1, width + 1, 2, 2, -1)
  rows = [[windows[:, p : p + height, q : q + width, p, q] for q in (0, 1)] for p in (0, 1)]
  return jnp.stack([jnp.stack(row, axis=3) for row in rows], axis=2).reshape(batch, 2 * height, 2 * width, -1)


def double_plainly(
  h: Float[Array, "batch height width features"], kernel: Float[Array, "4 4 features outputs"]
) -> Float[Array, "batch 2*height 2*width outputs"]:
  """Returns what `double` returns, by XLA's transposed convolution."""
  return jax.lax.conv_transpose(h, kernel, (2, 2), "SAME", dimension_numbers=_SPATIAL)


def convolve_sequence(
  padded: Float[Array, "batch padded_length width"], kernel: Float[Array, "taps width"]
) -> Float[Array, "batch length width"]:
  """Returns sum_k kernel[k] * padded[i + k] for every i: a depthwise convolution without padding."""
  length = padded.shape[1] - len(kernel) + 1
  taps = [kernel[k][None, None] * padded[:, k : k + length] for k in range(len(kernel))]
  return functools.reduce(jnp.add, taps).astype(padded.dtype)
