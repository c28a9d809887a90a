"""Convolutions over maps and sequences, the faster forms against the plain ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.kernels.convolution import convolve_plainly, convolve_sequence, double, double_plainly, kernel_gradient
from catgen.networks.parts.convolution import Doubling, convolution


@pytest.mark.parametrize("taps", [1, 3, 5])
def test_the_kernel_gradient_is_that_of_the_convolution(taps):
  keys = jax.random.split(jax.random.key(0), 3)
  x, slope = jax.random.normal(keys[0], (3, 4, 6, 2)), jax.random.normal(keys[1], (3, 4, 6, 5))
  expected = jax.vjp(lambda kernel: convolve_plainly(x, kernel), jnp.zeros((taps, taps, 2, 5)))[1](slope)[0]
  np.testing.assert_allclose(kernel_gradient(x, slope, taps), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(16, 32), (4, 4)])  # with gradients of its own, and with XLA's
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_has_the_gradients_of_the_plain_one(shape, stride):
  module = convolution(48, 48, stride=stride, rngs=nnx.Rngs(0))
  x = jax.random.normal(jax.random.key(0), (2, *shape, 48))
  weight = jax.random.normal(jax.random.key(1), module(x).shape)

  def reference(kernel, bias, x):
    padding = ((1, 1), (1, 1))
    y = jax.lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return jnp.sum(weight * (y + bias[None, None, None]))

  ours = nnx.grad(lambda module, x: jnp.sum(weight * module(x)), argnums=(0, 1))(module, x)
  theirs = jax.grad(reference, argnums=(0, 1, 2))(module.kernel[...], module.bias[...], x)
  found = (ours[0]["kernel"][...], ours[0]["bias"][...], ours[1])
  for one, other in zip(found, theirs, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * float(jnp.abs(other).max()))


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (4, 2)])
def test_doubling_is_the_transposed_convolution_with_its_gradients(shape):
  module = Doubling(3, rngs=nnx.Rngs(0))
  kernel, h = module.kernel[...], jax.random.normal(jax.random.key(0), (2, *shape, 3))
  weight = jax.random.normal(jax.random.key(1), (2, 2 * shape[0], 2 * shape[1], 3))
  bias = module.bias[...][None, None, None]
  np.testing.assert_allclose(module(h), double_plainly(h, kernel) + bias, rtol=1e-5, atol=1e-6)
  slopes = [
    jax.grad(lambda h, kernel, form=form: jnp.sum(weight * form(h, kernel)), argnums=(0, 1))(h, kernel)
    for form in (double, double_plainly)
  ]
  for one, other in zip(*slopes, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_a_convolution_of_sequences_weighs_every_feature_by_its_own_taps():
  padded, kernel = np.random.default_rng(0).normal(size=(2, 7, 3)), np.random.default_rng(1).normal(size=(3, 3))
  expected = [[np.convolve(row[:, f], kernel[::-1, f], "valid") for f in range(3)] for row in padded]
  found = convolve_sequence(jnp.asarray(padded, jnp.float32), jnp.asarray(kernel, jnp.float32))
  np.testing.assert_allclose(found, np.swapaxes(expected, 1, 2), rtol=1e-5, atol=1e-6)
