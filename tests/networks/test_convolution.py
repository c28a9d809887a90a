"""Convolutions over maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.networks.convolution import Doubling


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
