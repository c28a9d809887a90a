"""P(x) of tiny flows by quasi-Monte Carlo quadrature of p(v) over the region of x, with maps written here.

Sobol points in the unit cube are mapped to the region: the box of a one-hot vector as it is; a half-line by an
exponential; the region of an argmax by a logistic largest coordinate and exponential gaps. These fall more slowly than
p(v), whose tails are Gaussian, so the integrand is smooth and bounded.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import qmc

_LOG_POINTS, _SCALE = 15, 2.0


def _points(dimensions: int) -> np.ndarray:
  return np.clip(qmc.Sobol(dimensions, seed=0).random_base2(_LOG_POINTS), 1e-12, 1 - 1e-12)


def _exponential(u):
  return -_SCALE * np.log1p(-u), np.log(_SCALE) - np.log1p(-u)


def _half_line(u, bit):
  size, log_jacobian = _exponential(u[..., 0])
  return (np.where(bit, size, -size))[..., None], log_jacobian


def _argmax_region(u, category):
  top = _SCALE * (np.log(u[..., category]) - np.log1p(-u[..., category]))
  log_jacobian = np.log(_SCALE) - np.log(u[..., category]) - np.log1p(-u[..., category])
  v = np.repeat(top[..., None], u.shape[-1], axis=-1)
  for other in range(u.shape[-1]):
    if other != category:
      gap, slope = _exponential(u[..., other])
      v[..., other] -= gap
      log_jacobian = log_jacobian + slope
  return v, log_jacobian


def _box(u, category):
  return u + np.eye(u.shape[-1])[category], np.zeros(u.shape[:-1])


def probabilities(model, params, num_classes: int, num_positions: int, *, base: int, boxes: bool) -> np.ndarray:
  """Returns P of every tuple of digits, [codes per position] * positions; codes from num_classes on are unused."""
  num_digits = next(d for d in itertools.count(1) if base**d >= num_classes)
  region = _box if boxes else _half_line if base == 2 else _argmax_region
  channels = 1 if region is _half_line else base
  u = _points(num_positions * num_digits * channels).reshape(-1, num_positions, num_digits, channels)
  apply = jax.jit(lambda v: model.sample.args[0](params, v, method="log_density"))
  result = np.zeros((base**num_digits,) * num_positions)
  for codes in np.ndindex(*result.shape):
    parts = [
      region(u[:, i, j], code // base ** (num_digits - 1 - j) % base)
      for i, code in enumerate(codes)
      for j in range(num_digits)
    ]
    v = np.stack([part for part, _ in parts], axis=1).reshape(len(u), num_positions, -1)
    log_p = np.asarray(apply(jnp.asarray(v, jnp.float32)), np.float64)
    result[codes] = np.exp(log_p + sum(jacobian for _, jacobian in parts)).mean()
  return result
