"""Logarithms of differences against float64, values and slopes, where the plain formulas lose their digits."""

import functools

import jax
import numpy as np
import pytest

from catgen.distributions.logarithms import log1mexp, log_expm1

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
}


compiled = functools.cache(jax.jit)
compiled_with_slopes = functools.cache(lambda function: jax.jit(jax.vmap(jax.value_and_grad(function))))


def values_and_slopes(function, points):
  """Returns float32 values and slopes, by one program for all numbers of points."""
  filled_up = np.resize(points.astype(np.float32), 16)
  return (np.asarray(each)[: len(points)] for each in compiled_with_slopes(function)(filled_up))


@pytest.mark.parametrize(("function", "points", "exact", "slope"), CASES.values(), ids=CASES)
def test_values_and_slopes_match_float64(function, points, exact, slope):
  points = points.astype(np.float32)
  values, slopes = values_and_slopes(function, points)
  np.testing.assert_allclose(values, exact(points.astype(np.float64)), rtol=3e-6, atol=3e-7)
  np.testing.assert_allclose(slopes, slope(points.astype(np.float64)), rtol=3e-5, atol=1e-37)


@pytest.mark.parametrize(("function", "points"), [(log1mexp, BOTH), (log_expm1, POSITIVE)])
def test_all_rise(function, points):
  values = np.asarray(compiled(function)(points.astype(np.float32)))
  assert np.all(np.diff(values) >= 0)


@pytest.mark.parametrize(
  ("function", "at", "value", "slope"),
  [
    (log1mexp, 100.0, 0.0, 0.0),
    (log1mexp, -np.inf, -np.inf, 1.0),
    (log_expm1, 0.0, -np.inf, 0.0),
  ],
)
def test_edges_have_values_and_slopes_without_nan(function, at, value, slope):
  got = values_and_slopes(function, np.array([at]))
  np.testing.assert_allclose([float(each[0]) for each in got], (value, slope), rtol=1e-5)
