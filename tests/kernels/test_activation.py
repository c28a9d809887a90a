"""GELU by its definition, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from catgen.kernels.activation import gelu

POINTS = np.linspace(-9.0, 9.0, 361)
EPSILON = {jnp.float32: 2.0**-23, jnp.bfloat16: 2.0**-8}  # from 1 to the number after it


@pytest.mark.parametrize("dtype", EPSILON, ids=lambda dtype: dtype.__name__)
def test_gelu_and_its_slope_are_those_of_the_definition_but_for_rounding(dtype):
  x = jnp.asarray(POINTS, dtype)
  exact = np.asarray(x, np.float64)
  below, density = special.ndtr(exact), np.exp(-0.5 * exact**2) / np.sqrt(2 * np.pi)

  value, slope = jax.jit(lambda x: (gelu(x), jax.grad(lambda x: gelu(x).sum())(x)))(x)

  assert value.dtype == slope.dtype == dtype
  allowed = EPSILON[dtype] * (1 + np.abs(exact))
  np.testing.assert_array_less(np.abs(np.asarray(value, np.float64) - exact * below), allowed)
  np.testing.assert_array_less(np.abs(np.asarray(slope, np.float64) - (below + exact * density)), allowed)


def test_only_the_argument_is_kept_for_the_backward_pass():
  _, pull = jax.vjp(gelu, jnp.ones((3, 5)))

  kept = [each for each in jax.tree.leaves(pull) if getattr(each, "shape", ()) == (3, 5)]

  assert len(kept) == 1
