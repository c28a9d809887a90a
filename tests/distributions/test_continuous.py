"""What is special to single continuous distributions; `test_contract.py` has what all of them promise."""

import jax
import jax.numpy as jnp
import numpy as np

from catgen.distributions import logistic, logistic_mixture, truncated_gumbel
from catgen.distributions.logistic_mixture import Mixture


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


def make_mixture(num=4, seed=0):
  rng = np.random.default_rng(seed)
  logits, locations, log_scales = rng.normal(size=(3, num)) * np.array([[1.0], [3.0], [0.7]])
  return Mixture(*(jnp.asarray(p, jnp.float32) for p in (logits, locations, log_scales)))


def over(mixture, x):
  return Mixture(*(jnp.broadcast_to(p, (*x.shape, len(p))) for p in mixture))


def test_a_logit_that_no_probability_can_hold_is_inverted():
  mixture, logits = make_mixture(seed=1), jnp.linspace(-80.0, 80.0, 9)
  x = logistic_mixture.from_logit(over(mixture, logits), logits)
  np.testing.assert_allclose(logistic_mixture.logit_cdf(over(mixture, x), x), logits, rtol=1e-5, atol=1e-5)


def test_gradient_of_the_inverse_is_the_implicit_one():
  mixture = make_mixture(seed=2)
  point = jnp.asarray(0.4)
  got = jax.grad(lambda m: logistic_mixture.from_logit(m, point))(mixture)

  def shifted(by):
    return logistic_mixture.from_logit(mixture._replace(locations=mixture.locations + by), point)

  step = 1e-2
  for i in range(4):
    by = jnp.zeros(4).at[i].set(step)
    slope = (shifted(by) - shifted(-by)) / (2 * step)
    np.testing.assert_allclose(got.locations[i], slope, atol=2e-3)
