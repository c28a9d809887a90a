"""Convolutions by tiles against sums over taps in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from catgen.kernels import winograd
from catgen.kernels.convolution import convolve, convolve_plainly
from catgen.meshes import BATCH_AXES
from catgen.training.dry_run import flops_by_dtype

RANDOM = np.random.default_rng(0)
SHAPES = [(2, 8, 12), (1, 1, 1), (3, 5, 6), (1, 4, 2)]  # some in whole tiles, some not


def windows(x):
  """Returns what the nine taps read, [3, 3, batch, height, width, channels], in float64."""
  height, width = x.shape[1:3]
  padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
  return np.array([[padded[:, i : i + height, j : j + width] for j in range(3)] for i in range(3)])


def normal(*shape):
  return RANDOM.normal(size=shape).astype(np.float32)


def root_mean_square(x):
  return np.sqrt(np.mean(np.square(x)))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_convolution_is_the_sum_over_taps(shape):
  x, kernel = normal(*shape, 5), normal(3, 3, 5, 7)
  expected = np.einsum("ijbhwc,ijcd->bhwd", windows(x), kernel)
  np.testing.assert_allclose(jax.jit(winograd.convolve)(x, kernel), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_of_its_inputs_is_the_sum_over_the_outputs_that_read_them(shape):
  slope, kernel = normal(*shape, 7), normal(3, 3, 5, 7)
  expected = np.einsum("ijbhwd,ijcd->bhwc", windows(slope)[::-1, ::-1], kernel)
  np.testing.assert_allclose(jax.jit(winograd.input_gradient)(slope, kernel), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_of_its_kernel_is_the_sum_over_positions(shape):
  x, slope = normal(*shape, 5), normal(*shape, 7)
  expected = np.einsum("ijbhwc,bhwd->ijcd", windows(x), slope)
  np.testing.assert_allclose(jax.jit(winograd.kernel_gradient)(x, slope), expected, rtol=1e-4, atol=1e-4)


def test_its_rounding_is_that_of_float32_and_at_most_three_times_that_of_the_plain_form():
  x, kernel = normal(4, 16, 16, 64), normal(3, 3, 64, 64) / 24
  expected = np.einsum("ijbhwc,ijcd->bhwd", windows(x), kernel.astype(np.float64), optimize=True)
  tiled, plain = (
    root_mean_square(jax.jit(form)(x, kernel) - expected) for form in (winograd.convolve, convolve_plainly)
  )
  assert tiled < 3 * plain  # of points 0, +-1, +-2 it is almost five times
  assert tiled < 2e-6 * root_mean_square(expected)


def test_the_operations_of_a_step_are_counted_as_those_of_nine_taps():
  x, kernel = jnp.zeros((2, 16, 16, 32)), jnp.zeros((3, 3, 32, 64))
  slopes = jax.grad(lambda x, kernel: jnp.sum(convolve(x, kernel)), argnums=(0, 1))
  (number,) = flops_by_dtype(jax.make_jaxpr(slopes)(x, kernel)).values()
  assert number == 3 * 2 * kernel.size * 2 * 16 * 16  # forward, and both gradients


def test_devices_that_share_a_batch_keep_the_nine_taps():
  """They would add up 36 values of a kernel for its nine taps."""
  x, kernel = normal(2, 16, 16, 32), normal(3, 3, 32, 32)

  def program():
    slope = jax.grad(lambda x, kernel: jnp.sum(convolve(x, kernel)), argnums=(0, 1))
    return jax.jit(slope).lower(x, kernel).as_text()

  assert "tensor<36x" in program()
  with jax.set_mesh(jax.make_mesh((2, 1), BATCH_AXES, axis_types=(AxisType.Auto,) * 2)):
    assert "tensor<36x" not in program()
