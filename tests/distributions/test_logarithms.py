"""Logarithms of differences against float64, values and slopes, where the plain formulas lose their digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from catgen.distributions.logarithms import log1mexp, log_expm1, log_softplus

BOTH = np.array([-200.0, -87.0, -40.0, -15.1, -14.9, -3.0, -0.4, -0.3, 0.0, 1.0, 3.0, 4.5])
POSITIVE = np.array([1e-30, 1e-12, 1e-6, 1e-3, 0.5, 0.999, 1.001, 5.0, 30.0, 88.0, 300.0])


def exact_log1mexp(log_a):
  a = np.exp(log_a)
  return np.where(a < 0.7, np.log(-np.expm1(-a)), np.log1p(-np.exp(-np.maximum(a, 0.1))))


def exact_log_expm1(a):
  return a + np.log(-np.expm1(-a))


CASES = {
  "log1mexp": (log1mexp, BOTH, exact_log1mexp, lambda x: np.exp(x - exact_log_expm1(np.exp(x)))),
  "log_expm1": (log_expm1, POSITIVE, exact_log_expm1, lambda a: -1 / np.expm1(-a)),
  "log_softplus": (
    log_softplus,
    np.append(BOTH, [30.0, 90.0]),
    lambda a: np.where(a < -30, a, np.log(np.logaddexp(0.0, np.maximum(a, -30.0)))),
    lambda a: np.where(a < -30, 1.0, scipy.special.expit(a) / np.logaddexp(0.0, np.maximum(a, -30.0))),
  ),
}


@pytest.mark.parametrize(("function", "points", "exact", "slope"), CASES.values(), ids=CASES)
def test_values_and_slopes_match_float64(function, points, exact, slope):
  points = points.astype(np.float32)
  values, slopes = jax.vmap(jax.value_and_grad(function))(jnp.asarray(points))
  np.testing.assert_allclose(values, exact(points.astype(np.float64)), rtol=3e-6, atol=3e-7)
  np.testing.assert_allclose(slopes, slope(points.astype(np.float64)), rtol=3e-5, atol=1e-37)


@pytest.mark.parametrize(("function", "points"), [(log1mexp, BOTH), (log_expm1, POSITIVE), (log_softplus, BOTH)])
def test_all_rise(function, points):
  values = np.asarray(function(jnp.asarray(points, jnp.float32)))
  assert np.all(np.diff(values) >= 0)


@pytest.mark.parametrize(
  ("function", "at", "value", "slope"),
  [
    (log1mexp, 100.0, 0.0, 0.0),
    (log1mexp, -jnp.inf, -jnp.inf, 1.0),
    (log_expm1, 0.0, -jnp.inf, 0.0),
    (log_softplus, -1e4, -1e4, 1.0),
    (log_softplus, 1e4, np.log(1e4), 1e-4),
  ],
)
def test_edges_have_values_and_slopes_without_nan(function, at, value, slope):
  got = jax.value_and_grad(function)(jnp.float32(at))
  np.testing.assert_allclose(got, (value, slope), rtol=1e-5)
