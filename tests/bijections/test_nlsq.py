"""The nonlinear squared flow against its formula in float64, its inverse, and gradients by finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.bijections import nlsq

RNG = np.random.default_rng(0)
SCALES = np.logspace(-4, 6, 20)
INVERSE, FORWARD = jax.jit(nlsq.inverse), jax.jit(nlsq.forward)


def by_formula(y, raw):
  """Returns x and dx/dy, in float64."""
  r = np.moveaxis(np.float64(raw), -1, 0)
  b, d = np.exp(0.4 * r[1]), np.exp(0.4 * r[3])
  c = np.tanh(0.3 * r[2]) * (8 * np.sqrt(3) / 9 - 0.05) * b / d
  w = d * np.float64(y) + r[4]
  return r[0] + b * y + c / (1 + w**2), b - 2 * c * d * w / (1 + w**2) ** 2


def test_towards_noise_it_is_the_formula():
  raw, y = RNG.normal(size=(2000, 5)).astype(np.float32), 3 * RNG.normal(size=2000).astype(np.float32)
  x, log_det = INVERSE(y, raw)
  expected, slope = by_formula(y, raw)
  np.testing.assert_allclose(x, expected, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(log_det, np.log(slope), rtol=1e-4, atol=1e-4)


def test_the_slope_is_bounded_below():
  y = np.linspace(-3, 3, 4001, dtype=np.float32)
  steepest = np.broadcast_to(np.float32([0, 0, 100, 0, 0]), (4001, 5))
  slope = np.exp(INVERSE(y, steepest)[1])
  assert 0.0324 < slope.min() < 0.0326


@pytest.mark.parametrize("scale", SCALES)
def test_there_and_back_in_float32(scale):
  rng = np.random.default_rng(int(1e6 * scale))
  raw, y = rng.normal(size=(10_000, 5)).astype(np.float32), (scale * rng.normal(size=10_000)).astype(np.float32)
  x, log_det = INVERSE(y, raw)
  back, change = FORWARD(x, raw)
  assert np.all(np.abs(back - y) <= 1e-5 * np.maximum(1, np.abs(y)))
  np.testing.assert_allclose(change, -log_det, atol=2e-4)


def test_where_it_bends_as_far_as_it_goes_the_way_back_is_as_exact_as_x_allows():
  """x = f(y) is rounded to float32, which moves the true y by that over the slope, here down to 0.03."""
  rng = np.random.default_rng(1)
  raw = (rng.normal(size=(10_000, 5)) * np.array([1, 1, 10, 1, 1])).astype(np.float32)
  y = (10.0 ** rng.uniform(-4, 6, 10_000) * rng.choice([-1, 1], 10_000)).astype(np.float32)
  x, _ = INVERSE(y, raw)
  slope = by_formula(y, raw)[1]
  allowed = 4 * np.finfo(np.float32).eps * np.maximum(1, np.maximum(np.abs(x), np.abs(raw[:, 0]))) / slope
  assert np.all(np.abs(FORWARD(x, raw)[0] - y) <= allowed + 1e-6 * np.maximum(1, np.abs(y)))


def test_where_the_cubic_has_no_linear_term_it_is_solved_too():
  """At s^2 = 3 its p is 0 or nearly, and the formula divides by it."""
  near = np.float32(np.sqrt(3)) + np.float32(1e-7) * np.arange(-20, 21, dtype=np.float32)
  x = np.concatenate([near, -near, np.float32([0.0])])
  for kappa in (-100.0, -1.0, 0.0, 0.1, 100.0):
    raw = np.broadcast_to(np.float32([0, 0, kappa, 0, 0]), (len(x), 5))
    y, _ = FORWARD(x, raw)
    np.testing.assert_allclose(by_formula(y, raw)[0], x, atol=1e-5)


def test_gradients_of_both_directions_are_those_of_finite_differences():
  """In float64 by the formula; towards data by solving it, so that the gradient is that of the implicit function."""
  raw, y = RNG.normal(size=(50, 5)).astype(np.float32), RNG.normal(size=50).astype(np.float32)
  x = np.float32(by_formula(y, raw)[0])

  def solved(x, raw):
    low, high = np.full(len(raw), -1e3), np.full(len(raw), 1e3)
    for _ in range(80):
      middle = (low + high) / 2
      above = by_formula(middle, raw)[0] > x
      low, high = np.where(above, low, middle), np.where(above, middle, high)
    return low, 1 / by_formula(low, raw)[1]

  for function, exactly, at in ((nlsq.inverse, by_formula, y), (nlsq.forward, solved, x)):
    for part, take in ((0, lambda pair: pair[0]), (1, lambda pair: np.log(pair[1]))):
      slopes = jax.jit(jax.grad(lambda at, raw, f=function, i=part: f(at, raw)[i].sum(), argnums=(0, 1)))(at, raw)
      step = 1e-5
      expected = (take(exactly(at + step, raw)) - take(exactly(at - step, raw))) / (2 * step)
      np.testing.assert_allclose(slopes[0], expected, rtol=5e-3, atol=5e-4)
      for number in range(5):
        moved = step * np.eye(5)[number]
        expected = (take(exactly(at, raw + moved)) - take(exactly(at, raw - moved))) / (2 * step)
        np.testing.assert_allclose(slopes[1][:, number], expected, rtol=5e-3, atol=5e-4)


def test_gradients_are_finite_far_out():
  x = jnp.asarray([-1e6, -30.0, -np.sqrt(3), 0.0, np.sqrt(3), 30.0, 1e6], jnp.float32)
  for strength in (-100.0, 0.0, 100.0):
    raw = jnp.broadcast_to(jnp.asarray([0.0, 0.0, strength, 0.0, 0.0]), (len(x), 5))
    for direction in (nlsq.forward, nlsq.inverse):
      slopes = jax.jit(jax.grad(lambda x, raw, f=direction: sum(part.sum() for part in f(x, raw)), argnums=(0, 1)))(
        x, raw
      )
      assert all(np.all(np.isfinite(each)) for each in slopes)
