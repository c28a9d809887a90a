"""The continuous distributions under contract, each with a reference in float64 and where to look at it."""

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
import scipy.stats

from catgen.distributions import gumbel, logistic, logistic_mixture, normal, truncated_gumbel
from catgen.distributions.logistic_mixture import Mixture

SIZE = 4096  # of the nodes of `quadrature` in `test_contract.py`


class Member(NamedTuple):
  """A distribution with parameters."""

  module: ModuleType
  parameters: tuple  # numbers, or for a mixture lists of one number per component
  reference: Callable[..., Any]  # parameters -> what has logpdf, logcdf, logsf and cdf in float64, as SciPy's
  unit: float  # how far a value moves before its density does
  support: tuple[float, float]  # all but e-40 of the mass
  points: tuple[float, ...]  # where values and gradients are compared, tails included

  def call(self, name: str, values, *, dtype=np.float32):
    """Returns function `name` of the module at the values, [num], every one with the same parameters.

    They go through the function in parts of one size, so that it is one program.
    """
    values = np.asarray(values, dtype)
    parts = np.resize(values, (-(-len(values) // SIZE), SIZE))
    parameters = [np.asarray(each, dtype) for each in self.parameters]
    found = [np.asarray(_compiled(self.module, name)(part, *parameters)) for part in parts]
    return np.concatenate(found)[: len(values)]

  def traced(self, name: str, value):
    """Returns function `name` of what is being traced."""
    return _compiled(self.module, name)(value, *(np.asarray(each, np.float32) for each in self.parameters))

  def slopes(self, name: str, values):
    """Returns for each value the derivatives of function `name` by it and by every parameter."""
    parameters = [np.asarray(each, np.float32) for each in self.parameters]
    return _compiled_slopes(self.module, name, len(parameters))(np.asarray(values, np.float32)[:, None], *parameters)

  def sample(self, key, num: int):
    """Returns draws, [num]."""
    arrays = [np.broadcast_to(np.asarray(each, np.float32), (num, *np.shape(each))) for each in self.parameters]
    return _compiled_sample(self.module)(key, *in_order(self.module, arrays))

  def exact(self):
    """Returns the reference at the parameters as float32 has them."""
    return self.reference(*(np.asarray(each, np.float32).astype(np.float64) for each in self.parameters))


def in_order(module: ModuleType, parameters: list) -> list:
  """Returns parameters as the functions of a module take them."""
  return [Mixture(*parameters)] if module is logistic_mixture else parameters


@functools.cache
def _compiled(module: ModuleType, name: str) -> Callable:
  """Returns a function of a module on (values, *parameters), one program for all members with as many values."""

  def function(value, *parameters):
    arrays = [jnp.broadcast_to(each, (*value.shape, *each.shape)) for each in parameters]
    return getattr(module, name)(*in_order(module, arrays), value)

  return jax.jit(function)


@functools.cache
def _compiled_slopes(module: ModuleType, name: str, num_parameters: int) -> Callable:
  function = _compiled(module, name)
  slopes = jax.grad(lambda *arrays: function(*arrays).sum(), argnums=range(num_parameters + 1))
  return jax.jit(jax.vmap(slopes, in_axes=(0, *[None] * num_parameters)))


@functools.cache
def _compiled_sample(module: ModuleType) -> Callable:
  return jax.jit(module.sample)


class _Truncated:
  """A Gumbel below a bound."""

  def __init__(self, location, bound):
    self.base, self.bound = scipy.stats.gumbel_r(location), bound

  def logpdf(self, x):
    return np.where(x <= self.bound, self.base.logpdf(x) - self.base.logcdf(self.bound), -np.inf)

  def logcdf(self, x):
    return np.where(x <= self.bound, self.base.logcdf(x) - self.base.logcdf(self.bound), 0.0)

  def cdf(self, x):
    return np.exp(self.logcdf(x))

  def logsf(self, x):
    return np.log(-np.expm1(self.logcdf(x)))


class _Mixture:
  """Of logistics."""

  def __init__(self, logits, locations, log_scales):
    self.weights = scipy.special.softmax(logits)
    self.parts = scipy.stats.logistic(locations, np.exp(log_scales))

  def _mix(self, logs):
    return scipy.special.logsumexp(logs, b=self.weights, axis=-1)

  def logpdf(self, x):
    return self._mix(self.parts.logpdf(np.asarray(x)[..., None]))

  def logcdf(self, x):
    return self._mix(self.parts.logcdf(np.asarray(x)[..., None]))

  def cdf(self, x):
    return np.exp(self.logcdf(x))

  def logsf(self, x):
    return self._mix(self.parts.logsf(np.asarray(x)[..., None]))


def _gumbel(location: float) -> Member:
  points = tuple(location + np.array([-4.3, -2.0, -0.5, 0.0, 0.7, 4.0, 18.0, 60.0]))
  return Member(gumbel, (location,), scipy.stats.gumbel_r, 1.0, (location - 6, location + 45), points)


def _truncated(location: float, bound: float) -> Member:
  unit = min(1.0, float(np.exp(bound - location)))
  points = tuple(bound - unit * np.array([0.01, 0.3, 1.0, 2.5, 4.0]))
  reach = max(np.log1p(100 * np.exp(bound - location)), 0.0)
  return Member(truncated_gumbel, (location, bound), _Truncated, unit, (bound - reach, bound), points)


def _scaled(module: ModuleType, make: Callable, location: float, log_scale: float) -> Member:
  scale, reach = float(np.exp(log_scale)), 12 if module is normal else 45
  points = tuple(location + scale * np.array([-60.0, -20.0, -3.0, -0.5, 0.0, 0.7, 4.0, 18.0, 60.0]))
  support = (location - reach * scale, location + reach * scale)
  reference = lambda location, log_scale: make(location, np.exp(log_scale))  # noqa: E731
  return Member(module, (location, log_scale), reference, scale, support, points)


def _mixture(logits: list, locations: list, log_scales: list) -> Member:
  scales = np.exp(log_scales)
  support = tuple(float(edge) for edge in ((locations - 45 * scales).min(), (locations + 45 * scales).max()))
  points = tuple(float(scales.max()) * np.array([-60.0, -8.0, -2.0, -0.4, 0.0, 0.9, 3.0, 60.0]))
  return Member(logistic_mixture, (logits, locations, log_scales), _Mixture, float(scales.min()), support, points)


MEMBERS = {
  "gumbel": _gumbel(0.25),
  "gumbel_far": _gumbel(-40.0),
  "truncated_gumbel": _truncated(0.25, 1.125),
  "truncated_gumbel_loose": _truncated(0.25, 9.0),
  "truncated_gumbel_tight": _truncated(0.25, -3.5),
  "normal": _scaled(normal, scipy.stats.norm, 0.25, -0.5),
  "normal_narrow": _scaled(normal, scipy.stats.norm, 0.03125, -6.0),
  "normal_wide": _scaled(normal, scipy.stats.norm, -3.0, 4.0),
  "logistic": _scaled(logistic, scipy.stats.logistic, 0.25, -0.5),
  "logistic_narrow": _scaled(logistic, scipy.stats.logistic, 0.03125, -6.0),
  "logistic_wide": _scaled(logistic, scipy.stats.logistic, -3.0, 4.0),
  "mixture": _mixture([0.5, -1.0, 0.0, 1.5], [-4.0, -0.5, 0.5, 3.0], [-1.0, 0.5, -1.5, 0.25]),
  "mixture_of_one": _mixture([7.0], [0.5], [-0.5]),
  "mixture_with_unused": _mixture([0.0, -60.0], [-1.0, 2.0], [0.0, 0.5]),
}
