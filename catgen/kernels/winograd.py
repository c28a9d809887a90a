"""Convolutions of 3 x 3 by a quarter of the multiplications: tiles of outputs, multiplied at points of polynomials.

A row of outputs of a convolution is a product of polynomials. It is settled by as many values of them as it has
coefficients, and at each point the product of values is one multiplication. A tile of 4 x 4 outputs reads 6 x 6 inputs
and so needs 36 multiplications of an input's channel with an output's, where the sum over nine taps needs 144. What is
left are 36 matrix products over all tiles; moving to values and back are sums along rows and columns.

Rounding: of points 0, +-p, +-1/p and infinity p = 2/3 has about the smallest errors, twice those of XLA's convolution
on a CPU in the root of the mean square (tests/kernels/test_winograd.py); the usual 0, +-1, +-2 have almost five times.

Reference: Lavin & Gray (2015), arXiv:1509.09308; Winograd (1980), Arithmetic Complexity of Computations.
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

TILE = 4  # outputs of a tile along each axis
_TAPS = 3
_READ = TILE + _TAPS - 1  # inputs that they read
_POINTS = (0.0, 2 / 3, -2 / 3, 3 / 2, -3 / 2)  # and infinity


def _of_inputs() -> np.ndarray:
  """Returns [points, inputs]: each row has the coefficients of the polynomial that vanishes at all other points."""
  rows = [np.poly([other for other in _POINTS if other != point])[::-1] for point in _POINTS]
  return np.array([*(np.append(row, 0.0) for row in rows), np.poly(_POINTS)[::-1]])


def _of_kernels() -> np.ndarray:
  """Returns [points, taps]: the values of a kernel's polynomial, over the product of distances to other points."""
  rows = [
    [point**tap / math.prod(point - other for other in _POINTS if other != point) for tap in range(_TAPS)]
    for point in _POINTS
  ]
  return np.array([*rows, [0.0] * (_TAPS - 1) + [1.0]])


def _of_outputs() -> np.ndarray:
  """Returns [outputs, points]: from values back to outputs."""
  rows = np.array([[point**power for point in _POINTS] for power in range(TILE)])
  return np.concatenate([rows, np.eye(TILE)[:, -1:]], axis=1)


_INPUTS, _OUTPUTS = _of_inputs(), _of_outputs()
_BOTH_KERNELS = np.kron(_of_kernels(), _of_kernels()).astype(np.float32)  # [points, taps] of both axes


def num_tiles(shape: Sequence[int]) -> int:
  """Returns how many tiles maps [batch, height, width, channels] have."""
  return shape[0] * _tiles(shape[1]) * _tiles(shape[2])


def convolve(
  x: Float32[Array, "batch height width inputs"], kernel: Float32[Array, "3 3 inputs outputs"]
) -> Float32[Array, "batch height width outputs"]:
  """Returns the convolution that keeps height and width, with zeros at the borders."""
  values = jnp.einsum("ptc,pcd->ptd", _values_of_inputs(x), _values_of_kernel(kernel))
  return _outputs(values, x.shape)


def input_gradient(
  slope: Float32[Array, "batch height width outputs"], kernel: Float32[Array, "3 3 inputs outputs"]
) -> Float32[Array, "batch height width inputs"]:
  """Returns the gradient of the inputs of `convolve` for one of its outputs: a convolution by the kernel turned around.

  The kernel's channels are not exchanged for that: moving them takes as long as multiplying.
  """
  values = jnp.einsum("ptd,pcd->ptc", _values_of_inputs(slope), _values_of_kernel(kernel[::-1, ::-1]))
  return _outputs(values, slope.shape)


def kernel_gradient(
  x: Float32[Array, "batch height width inputs"], slope: Float32[Array, "batch height width outputs"]
) -> Float32[Array, "3 3 inputs outputs"]:
  """Returns the gradient of the kernel of `convolve` for one of its outputs."""
  values = jnp.einsum("ptc,ptd->pcd", _values_of_inputs(x), _values_of_slope(slope))
  return jnp.matmul(_BOTH_KERNELS.T, values.reshape(_READ**2, -1)).reshape(_TAPS, _TAPS, *values.shape[1:])


def _tiles(size: int) -> int:
  """Returns how many tiles an axis has."""
  return -(-size // TILE)


def _values_of_inputs(x: Array) -> Float[Array, "points tiles inputs"]:
  down, across = map(_tiles, x.shape[1:3])
  ends = ((1, 1 + TILE * n - size) for n, size in zip((down, across), x.shape[1:3], strict=True))
  rows = _combined(_INPUTS, _every(jnp.pad(x, ((0, 0), *ends, (0, 0))), down, axis=1), axis=0)
  return _combined(_INPUTS, _every(rows, across, axis=3), axis=1).reshape(_READ**2, -1, x.shape[3])


def _values_of_slope(slope: Array) -> Float[Array, "points tiles outputs"]:
  down, across = map(_tiles, slope.shape[1:3])
  ends = ((0, TILE * n - size) for n, size in zip((down, across), slope.shape[1:3], strict=True))
  tiles = jnp.pad(slope, ((0, 0), *ends, (0, 0))).reshape(len(slope), down, TILE, across, TILE, -1)
  rows = _combined(_OUTPUTS.T, [tiles[:, :, i] for i in range(TILE)], axis=0)
  values = _combined(_OUTPUTS.T, [rows[:, :, :, :, j] for j in range(TILE)], axis=1)
  return values.reshape(_READ**2, -1, slope.shape[3])


def _outputs(values: Float[Array, "points tiles channels"], shape: Sequence[int]) -> Array:
  """Returns maps of this batch, height and width from their values."""
  batch, height, width = shape[:3]
  grid = values.reshape(_READ, _READ, batch, _tiles(height), _tiles(width), -1)
  rows = _combined(_OUTPUTS, list(grid), axis=3)
  tiles = _combined(_OUTPUTS, list(rows), axis=4)
  return tiles.reshape(batch, TILE * grid.shape[3], TILE * grid.shape[4], -1)[:, :height, :width]


def _values_of_kernel(kernel: Array) -> Float[Array, "points inputs outputs"]:
  return jnp.matmul(_BOTH_KERNELS, kernel.reshape(_TAPS**2, -1)).reshape(_READ**2, *kernel.shape[2:])


def _every(x: Array, number: int, *, axis: int) -> list[Array]:
  """Returns what the tiles along an axis read first, second, and so on: slices, a tile's size apart."""
  span = TILE * (number - 1) + 1
  return [jax.lax.slice_in_dim(x, start, start + span, TILE, axis) for start in range(_READ)]


def _combined(matrix: np.ndarray, parts: Sequence[Array], *, axis: int) -> Array:
  """Returns the product of a matrix of numbers and a column of arrays, stacked along a new axis; zeros are left out."""
  products = ([float(n) * part for n, part in zip(row, parts, strict=True) if n] for row in matrix)
  return jnp.stack([functools.reduce(jnp.add, each) for each in products], axis)
