"""Products in low precision: what is rounded, and what is not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.kernels.convolution import convolve, convolve_plainly, double, double_plainly
from catgen.kernels.product import product

RANDOM = np.random.default_rng(0)
ROWS = 64


def rounded(*shape):
  """Returns normal numbers that bfloat16 can hold, in float32."""
  return np.asarray(jnp.asarray(RANDOM.normal(size=shape), jnp.bfloat16).astype(jnp.float32))


def strided(x, kernel):
  return jax.lax.conv_general_dilated(x, kernel, (2, 2), [(1, 1)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC"))


FORMS = {  # the form, and what JAX makes of its definition
  "product": (product, jnp.matmul, (8,), (8, 4), (4,)),
  "convolution": (functools.partial(convolve, stride=1), convolve_plainly, (4, 4, 3), (3, 3, 3, 2), (4, 4, 2)),
  "strided convolution": (functools.partial(convolve, stride=2), strided, (4, 4, 3), (3, 3, 3, 2), (2, 2, 2)),
  "doubling": (double, double_plainly, (2, 2, 2), (4, 4, 2, 2), (4, 4, 2)),
}


@pytest.mark.parametrize(("form", "plain", "inputs", "kernel", "outputs"), FORMS.values(), ids=FORMS)
def test_a_kernels_gradient_is_summed_in_float32_where_products_are_bfloat16(form, plain, inputs, kernel, outputs):
  x, weights, slope = rounded(ROWS, *inputs), rounded(*kernel), rounded(ROWS, *outputs)

  @jax.jit
  def low(x, weights, slope):
    y, pull = jax.vjp(form, x.astype(jnp.bfloat16), weights)
    return y, *pull(slope.astype(jnp.bfloat16))

  @jax.jit
  def high(x, weights, slope):
    y, pull = jax.vjp(plain, x, weights)
    return y, *pull(slope)

  (y, d_x, d_weights), (whole, whole_x, whole_weights) = low(x, weights, slope), high(x, weights, slope)
  assert [each.dtype for each in (y, d_x, d_weights)] == [jnp.bfloat16, jnp.bfloat16, jnp.float32]
  np.testing.assert_allclose(y.astype(jnp.float32), whole, rtol=2**-8, atol=0.02)
  np.testing.assert_allclose(d_x.astype(jnp.float32), whole_x, rtol=2**-8, atol=0.02)
  np.testing.assert_allclose(d_weights, whole_weights, rtol=1e-5, atol=1e-4)
