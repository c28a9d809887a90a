"""Continuous distributions against float64 references, in the tails too, with finite gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from catgen.distributions import gumbel, logistic, logistic_mixture, normal, truncated_gumbel
from catgen.distributions.logistic_mixture import Mixture

VALUES = np.array([-60.0, -20.0, -3.0, -0.5, 0.0, 0.7, 4.0, 18.0, 60.0, 95.0])
LOCATION, LOG_SCALE = 0.3, -0.4


class TruncatedReference:
  """Below a bound, in float64."""

  def __init__(self, location, bound):
    self.base, self.bound = scipy.stats.gumbel_r(location), bound

  def logpdf(self, x):
    return np.where(x < self.bound, self.base.logpdf(x) - self.base.logcdf(self.bound), -np.inf)

  def logcdf(self, x):
    return np.where(x < self.bound, self.base.logcdf(x) - self.base.logcdf(self.bound), 0.0)

  def ppf(self, u):
    return self.base.ppf(u * self.base.cdf(self.bound))

  def cdf(self, x):
    return np.exp(self.logcdf(x))

  def logsf(self, x):
    with np.errstate(divide="ignore"):
      return np.log(-np.expm1(self.logcdf(x)))


CASES = {
  "gumbel": (gumbel, (LOCATION,), scipy.stats.gumbel_r(LOCATION), -3.5),
  "truncated_gumbel": (truncated_gumbel, (LOCATION, 1.1), TruncatedReference(LOCATION, 1.1), -3.5),
  "normal": (normal, (LOCATION, LOG_SCALE), scipy.stats.norm(LOCATION, np.exp(LOG_SCALE)), -np.inf),
  "logistic": (logistic, (LOCATION, LOG_SCALE), scipy.stats.logistic(LOCATION, np.exp(LOG_SCALE)), -np.inf),
}


def as_arrays(parameters, like):
  return [jnp.full(like.shape, p) for p in parameters]


@pytest.fixture(params=CASES)
def case(request):
  return CASES[request.param]


def test_values_match_float64(case):
  module, parameters, reference, lowest = case
  x = jnp.asarray(VALUES[lowest <= VALUES], jnp.float32)
  wide = np.asarray(x, np.float64)
  args = as_arrays(parameters, x)
  with np.errstate(divide="ignore"):
    np.testing.assert_allclose(module.log_prob(*args, x), reference.logpdf(wide), rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(module.log_cdf(*args, x), reference.logcdf(wide), rtol=2e-5, atol=1e-30)
    np.testing.assert_allclose(module.cdf(*args, x), reference.cdf(wide), rtol=3e-5, atol=1e-30)
    np.testing.assert_allclose(module.log_survival(*args, x), reference.logsf(wide), rtol=2e-5, atol=3e-7)
  u = jnp.array([1e-6, 0.01, 0.3, 0.5, 0.9, 0.999])
  expected = reference.ppf(np.asarray(u, np.float64))
  np.testing.assert_allclose(module.icdf(*as_arrays(parameters, u), u), expected, rtol=2e-5, atol=2e-6)


def test_gradients_are_finite_where_samples_fall_and_in_the_tails(case):
  module, parameters, _, lowest = case
  x = jnp.asarray(VALUES[lowest <= VALUES], jnp.float32)
  for function in (module.log_prob, module.log_cdf, module.log_survival):
    values = function(*as_arrays(parameters, x), x)
    seen = x[jnp.isfinite(values)]
    for argument in range(len(parameters) + 1):
      gradient = jax.grad(lambda *a, f=function: f(*a).sum(), argnums=argument)(*as_arrays(parameters, seen), seen)
      assert bool(jnp.all(jnp.isfinite(gradient))), (function.__name__, argument)


def test_sampler_follows_the_cdf(case):
  module, parameters, reference, _ = case
  like = jnp.zeros(20_000)
  draws = np.asarray(module.sample(jax.random.key(0), *as_arrays(parameters, like)), np.float64)
  assert scipy.stats.kstest(draws, reference.cdf).pvalue > 1e-3


def test_logistic_draws_are_no_further_out_than_their_number_allows():
  """A uniform number of exactly 0, which these draws contain, would be 87 scales away."""
  zeros = jnp.zeros(2**20)
  noise = np.asarray(jax.jit(lambda key: logistic.sample(key, zeros, zeros))(jax.random.key(4)))
  assert -16.7 < noise.min() < -16.6
  assert noise.max() < 16.7


def test_truncated_gumbel_stays_finite_where_location_is_far_above_the_bound():
  location, bound = jnp.full(1000, 95.0), jnp.zeros(1000)
  draws = truncated_gumbel.sample(jax.random.key(0), location, bound)
  assert bool(jnp.all(draws <= 0.0))
  assert bool(jnp.all(jnp.isfinite(truncated_gumbel.log_prob(location, bound, draws))))
  np.testing.assert_array_equal(truncated_gumbel.log_prob(jnp.zeros(1), jnp.zeros(1), jnp.ones(1)), -jnp.inf)


def mixture_and_reference(num=4, seed=0):
  rng = np.random.default_rng(seed)
  logits, locations, log_scales = rng.normal(size=(3, num)) * np.array([[1.0], [3.0], [0.7]])
  return Mixture(*(jnp.asarray(p, jnp.float32) for p in (logits, locations, log_scales)))


def reference_mixture(mixture):
  logits, locations, log_scales = (np.asarray(p, np.float64) for p in mixture)
  weights = np.exp(logits - scipy.special.logsumexp(logits))
  part = scipy.stats.logistic(locations, np.exp(log_scales))
  return part, partial(scipy.special.logsumexp, b=weights, axis=-1)


def over(mixture, x):
  return Mixture(*(jnp.broadcast_to(p, (*x.shape, len(p))) for p in mixture))


def test_mixture_matches_float64_at_sixty_scales():
  mixture = mixture_and_reference()
  part, mix = reference_mixture(mixture)
  scale = float(np.exp(mixture.log_scales).max())
  x = jnp.asarray(np.array([-60, -30, -4, -1, 0, 0.5, 5, 30, 60]) * scale, jnp.float32)
  wide = np.asarray(x, np.float64)[:, None]
  many = over(mixture, x)
  np.testing.assert_allclose(logistic_mixture.log_prob(many, x), mix(part.logpdf(wide)), rtol=2e-5, atol=1e-5)
  np.testing.assert_allclose(logistic_mixture.log_cdf(many, x), mix(part.logcdf(wide)), rtol=2e-5, atol=3e-7)
  np.testing.assert_allclose(logistic_mixture.log_survival(many, x), mix(part.logsf(wide)), rtol=2e-5, atol=3e-7)
  for function in (logistic_mixture.log_prob, logistic_mixture.log_cdf, logistic_mixture.log_survival):
    gradient = jax.grad(lambda m, v, f=function: f(m, v).sum(), argnums=(0, 1))(many, x)
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(gradient))


def test_mixture_density_integrates_to_one_and_its_inverse_inverts():
  mixture = mixture_and_reference(seed=1)
  grid = jnp.linspace(-80.0, 80.0, 200_001)
  density = jnp.exp(logistic_mixture.log_prob(over(mixture, grid), grid))
  np.testing.assert_allclose(scipy.integrate.simpson(np.asarray(density, np.float64), x=np.asarray(grid)), 1, rtol=1e-5)
  u = jnp.array([1e-6, 0.02, 0.5, 0.8, 0.999])
  np.testing.assert_allclose(
    logistic_mixture.cdf(over(mixture, u), logistic_mixture.icdf(over(mixture, u), u)), u, rtol=2e-5
  )
  x = logistic_mixture.from_logit(over(mixture, grid[:9]), jnp.linspace(-80.0, 80.0, 9))
  np.testing.assert_allclose(
    logistic_mixture.logit_cdf(over(mixture, x), x), jnp.linspace(-80.0, 80.0, 9), rtol=1e-5, atol=1e-5
  )


def test_gradient_of_the_inverse_is_the_implicit_one():
  mixture = mixture_and_reference(seed=2)
  point = jnp.asarray(0.4)
  got = jax.grad(lambda m: logistic_mixture.from_logit(m, point))(mixture)

  def shifted(by):
    return logistic_mixture.from_logit(mixture._replace(locations=mixture.locations + by), point)

  step = 1e-2
  for i in range(4):
    by = jnp.zeros(4).at[i].set(step)
    slope = (shifted(by) - shifted(-by)) / (2 * step)
    np.testing.assert_allclose(got.locations[i], slope, atol=2e-3)


def test_mixture_sampler_follows_the_cdf():
  mixture = mixture_and_reference(seed=3)
  part, mix = reference_mixture(mixture)
  draws = np.asarray(logistic_mixture.sample(jax.random.key(0), over(mixture, jnp.zeros(20_000))), np.float64)
  assert scipy.stats.kstest(draws, lambda x: np.exp(mix(part.logcdf(np.asarray(x)[:, None])))).pvalue > 1e-3
