"""Convolutions by loops in float64 and by impulses: where a tap reads, what is padded, which form is taken."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.kernels import convolution
from catgen.kernels.convolution import convolve, convolve_sequence, double

RNG = np.random.default_rng(0)


def normal(*shape):
  return RNG.normal(size=shape).astype(np.float32)


def reference(x, kernel, stride=1):
  """Zeros around the map, a sum over taps."""
  pad, taps = len(kernel) // 2, len(kernel)
  padded = np.pad(x.astype(np.float64), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
  height, width = (-(-size // stride) for size in x.shape[1:3])
  out = np.zeros((len(x), height, width, kernel.shape[-1]))
  for i, j in np.ndindex(height, width):
    window = padded[:, stride * i : stride * i + taps, stride * j : stride * j + taps]
    out[:, i, j] = np.einsum("bhwc,hwcd->bd", window, kernel.astype(np.float64))
  return out


@pytest.mark.parametrize(("taps", "stride"), [(3, 1), (3, 2), (1, 1)])
def test_any_convolution_is_the_sum_over_taps_whatever_form_it_takes(taps, stride):
  x, kernel = normal(1, 6, 4, 2), normal(taps, taps, 2, 3)
  found = jax.jit(functools.partial(convolve, stride=stride))(x, kernel)
  np.testing.assert_allclose(found, reference(x, kernel, stride), rtol=1e-4, atol=1e-5)


FORMS = {
  "tiles": (3, (16, 32), 32, 1, jnp.float32, "_tiled"),
  "few tiles": (3, (8, 32), 48, 1, jnp.float32, ""),
  "few channels": (3, (32, 32), 30, 1, jnp.float32, ""),
  "five taps": (5, (32, 16), 48, 1, jnp.float32, "_same"),
  "five taps, small map": (5, (16, 16), 48, 1, jnp.float32, ""),
  "strided": (3, (32, 16), 48, 2, jnp.float32, ""),
  "half precision": (3, (32, 16), 48, 1, jnp.bfloat16, ""),
}


@pytest.mark.parametrize(("taps", "shape", "channels", "stride", "dtype", "form"), FORMS.values(), ids=FORMS)
def test_forms_of_our_own_serve_large_convolutions_that_keep_the_map(
  monkeypatch, taps, shape, channels, stride, dtype, form
):
  calls = []
  for name in ("_tiled", "_same"):
    own = getattr(convolution, name)
    monkeypatch.setattr(convolution, name, lambda *given, name=name, own=own: calls.append(name) or own(*given))
  x, kernel = jnp.zeros((1, *shape, channels), dtype), jnp.zeros((taps, taps, channels, channels), dtype)
  found = jax.eval_shape(functools.partial(convolve, stride=stride), x, kernel)
  assert "".join(calls) == form
  assert found.dtype == dtype


@functools.cache
def doubled():
  return jax.jit(double)


def test_doubling_spreads_each_position_over_the_four_by_four_around_its_own_two():
  """An impulse at (i, j) becomes the kernel, turned around, from row 2 i - 1 and column 2 j - 1 on."""
  kernel = normal(4, 4, 1, 1)
  for i, j in ((0, 0), (1, 2), (2, 3)):
    h = np.zeros((1, 3, 4, 1), np.float32)
    h[0, i, j, 0] = 1.0
    around = np.zeros((8, 10))
    around[2 * i : 2 * i + 4, 2 * j : 2 * j + 4] = kernel[::-1, ::-1, 0, 0]
    np.testing.assert_allclose(doubled()(h, kernel)[0, :, :, 0], around[1:7, 1:9], atol=1e-6)


def test_doubling_is_linear_in_both_of_its_arguments():
  h, kernel = normal(2, 3, 4, 1), normal(4, 4, 1, 1)
  found = doubled()(h, kernel)
  np.testing.assert_allclose(doubled()(3 * h, -kernel), -3 * found, rtol=1e-5)
  each = sum(doubled()(np.where(np.arange(3)[None, :, None, None] == row, h, 0), kernel) for row in range(3))
  np.testing.assert_allclose(each, found, rtol=1e-4, atol=1e-5)


def test_a_sequence_convolution_shortens_by_its_taps_less_one_and_keeps_the_dtype():
  padded = normal(2, 7, 3)
  one = convolve_sequence(jnp.asarray(padded), jnp.asarray(np.eye(3)[:, [1] * 3], jnp.float32))
  np.testing.assert_array_equal(one, padded[:, 1:6])  # a kernel that is one at its middle tap
  half = convolve_sequence(jnp.asarray(padded, jnp.bfloat16), jnp.ones((3, 3)))
  assert (half.shape, half.dtype) == ((2, 5, 3), jnp.bfloat16)
