"""What is special to single continuous distributions; `test_contract.py` has what all of them promise."""

import jax
import numpy as np

from catgen.distributions import logistic, logistic_mixture, truncated_gumbel
from catgen.distributions.logistic_mixture import Mixture


def test_logistic_draws_are_no_further_out_than_their_number_allows():
  """A uniform number of exactly 0, which these draws contain, would be 87 scales away."""
  zeros = np.zeros(2**20, np.float32)
  noise = np.asarray(jax.jit(logistic.sample)(jax.random.key(4), zeros, zeros))
  assert -16.7 < noise.min() < -16.6
  assert noise.max() < 16.7


def test_truncated_gumbel_stays_finite_where_location_is_far_above_the_bound():
  location, bound = np.full(1000, 95.0, np.float32), np.zeros(1000, np.float32)
  log_prob = jax.jit(truncated_gumbel.log_prob)
  draws = np.asarray(jax.jit(truncated_gumbel.sample)(jax.random.key(0), location, bound))
  assert np.all(draws <= 0.0)
  assert np.all(np.isfinite(log_prob(location, bound, draws)))
  np.testing.assert_array_equal(log_prob(np.zeros_like(bound), bound, np.ones_like(bound)), -np.inf)


from_logit = jax.jit(logistic_mixture.from_logit)


def make_mixture(num=4, seed=0):
  rng = np.random.default_rng(seed)
  logits, locations, log_scales = rng.normal(size=(3, num)) * np.array([[1.0], [3.0], [0.7]])
  return Mixture(*(p.astype(np.float32) for p in (logits, locations, log_scales)))


def over(mixture, x):
  return Mixture(*(np.broadcast_to(p, (*x.shape, len(p))) for p in mixture))


def test_a_logit_that_no_probability_can_hold_is_inverted():
  mixture, logits = make_mixture(seed=1), np.linspace(-80.0, 80.0, 9, dtype=np.float32)
  x = from_logit(over(mixture, logits), logits)
  np.testing.assert_allclose(jax.jit(logistic_mixture.logit_cdf)(over(mixture, x), x), logits, rtol=1e-5, atol=1e-5)


def test_gradient_of_the_inverse_is_the_implicit_one():
  mixture = make_mixture(seed=2)
  point = np.float32(0.4)
  got = jax.jit(jax.grad(logistic_mixture.from_logit))(mixture, point)

  def shifted(by):
    return from_logit(mixture._replace(locations=mixture.locations + by), point)

  step = np.float32(1e-2)
  for slope, by in zip(np.asarray(got.locations), step * np.eye(4, dtype=np.float32), strict=True):
    np.testing.assert_allclose(slope, np.subtract(shifted(by), shifted(-by)) / (2 * step), atol=2e-3)
