"""Convolutions over maps and sequences, the faster forms against the plain ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.kernels.convolution import (
  convolve_plainly,
  convolve_sequence,
  convolve_within,
  double,
  double_plainly,
  kernel_gradient,
)
from catgen.networks.parts.convolution import Convolution, Doubling
from tests.parameters import filled

RANDOM = np.random.default_rng(0)


def normal(*shape):
  return RANDOM.normal(size=shape).astype(np.float32)


def module_of(build):
  """Returns the graph and the parameters of a module, which are noise."""
  graph, state = nnx.split(nnx.eval_shape(build))
  return graph, filled(state)


@pytest.mark.parametrize("taps", [1, 3, 5])
def test_the_kernel_gradient_is_that_of_the_convolution(taps):
  @jax.jit
  def both(x, slope, kernel):
    expected = jax.vjp(lambda kernel: convolve_plainly(x, kernel), kernel)[1](slope)[0]
    return kernel_gradient(x, slope, taps), expected

  found, expected = both(normal(3, 4, 6, 2), normal(3, 4, 6, 5), np.zeros((taps, taps, 2, 5), np.float32))
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


# by tiles, with a kernel gradient by products, and with XLA's
@pytest.mark.parametrize(("shape", "size"), [((16, 32), 3), ((16, 32), 5), ((4, 4), 3)])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_has_the_gradients_of_the_plain_one(shape, size, stride):
  graph, state = module_of(lambda: Convolution(48, 48, size, stride=stride, rngs=nnx.Rngs(0)))
  x, weight = normal(2, *shape, 48), normal(2, shape[0] // stride, shape[1] // stride, 48)

  def ours(state, x, weight):
    return jnp.sum(weight * nnx.merge(graph, state)(x))

  def reference(state, x, weight):
    kernel, bias = (state[name][...] for name in ("kernel", "bias"))
    padding = ((size // 2, size // 2),) * 2
    y = jax.lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return jnp.sum(weight * (y + bias[None, None, None]))

  slopes = jax.jit(lambda *given: [jax.grad(each, argnums=(0, 1))(*given) for each in (ours, reference)])
  found, expected = map(jax.tree.leaves, slopes(state, x, weight))
  assert len(found) == 3
  for one, other in zip(found, expected, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * float(np.abs(other).max()))


@pytest.mark.parametrize("shape", [(17, 33), (4, 5)])  # with gradients of its own, and with XLA's
def test_a_convolution_of_windows_within_has_the_gradients_of_the_plain_one(shape):
  x, kernel = normal(2, *shape, 32), normal(2, 3, 32, 64)
  weight = normal(2, shape[0] - 1, shape[1] - 2, 64)

  def plain(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

  def slopes(form, x, kernel):
    return jax.value_and_grad(lambda x, kernel: jnp.sum(weight * form(x, kernel)), argnums=(0, 1))(x, kernel)

  found, expected = jax.jit(lambda *given: [slopes(form, *given) for form in (convolve_within, plain)])(x, kernel)
  for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * float(np.abs(other).max()))


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (4, 2)])
def test_doubling_is_the_transposed_convolution_with_its_gradients(shape):
  graph, state = module_of(lambda: Doubling(3, rngs=nnx.Rngs(0)))
  h, weight = normal(2, *shape, 3), normal(2, 2 * shape[0], 2 * shape[1], 3)

  @jax.jit
  def outputs_and_slopes(state, h, weight):
    kernel, bias = (state[name][...] for name in ("kernel", "bias"))
    outputs = nnx.merge(graph, state)(h), double_plainly(h, kernel) + bias[None, None, None]
    slopes = [
      jax.grad(lambda h, kernel, form=form: jnp.sum(weight * form(h, kernel)), argnums=(0, 1))(h, kernel)
      for form in (double, double_plainly)
    ]
    return outputs, slopes

  outputs, slopes = outputs_and_slopes(state, h, weight)
  np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-6)
  for one, other in zip(*slopes, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_a_convolution_of_sequences_weighs_every_feature_by_its_own_taps():
  padded, kernel = np.random.default_rng(0).normal(size=(2, 7, 3)), np.random.default_rng(1).normal(size=(3, 3))
  expected = [[np.convolve(row[:, f], kernel[::-1, f], "valid") for f in range(3)] for row in padded]
  found = jax.jit(convolve_sequence)(padded.astype(np.float32), kernel.astype(np.float32))
  np.testing.assert_allclose(found, np.swapaxes(expected, 1, 2), rtol=1e-5, atol=1e-6)
