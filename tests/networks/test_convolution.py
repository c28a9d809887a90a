"""Convolutions over maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catgen.networks.convolution import Doubling, convolution
from catgen.networks.kernel_gradient import kernel_gradient
from flax import nnx


def plain(x, kernel):
  return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@pytest.mark.parametrize("taps", [1, 3, 5])
def test_the_kernel_gradient_is_that_of_the_convolution(taps):
  keys = jax.random.split(jax.random.key(0), 3)
  x, slope = jax.random.normal(keys[0], (3, 4, 6, 2)), jax.random.normal(keys[1], (3, 4, 6, 5))
  expected = jax.vjp(lambda kernel: plain(x, kernel), jnp.zeros((taps, taps, 2, 5)))[1](slope)[0]
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
  ours = Doubling(3, rngs=nnx.Rngs(0))
  theirs = nnx.ConvTranspose(3, 3, (4, 4), strides=(2, 2), padding="SAME", rngs=nnx.Rngs(0))
  theirs.kernel[...], theirs.bias[...] = ours.kernel[...], ours.bias[...]
  h = jax.random.normal(jax.random.key(0), (2, *shape, 3))
  weight = jax.random.normal(jax.random.key(1), (2, 2 * shape[0], 2 * shape[1], 3))

  def loss(module, h):
    return jnp.sum(weight * module(h))

  np.testing.assert_allclose(ours(h), theirs(h), rtol=1e-5, atol=1e-6)
  for name, mine in nnx.grad(loss)(ours, h).items():
    np.testing.assert_allclose(mine[...], nnx.grad(loss)(theirs, h)[name][...], rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(*(jax.grad(loss, argnums=1)(module, h) for module in (ours, theirs)), rtol=1e-5, atol=1e-5)
