"""p(x) from random draws on latents of a few values, where sums over them are exact."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.evaluation import event_probabilities as found_by
from catgen.evaluation.enumeration import enumerate_events
from catgen.evaluation.event_probabilities import EventProbabilities
from catgen.evaluation.proof import prove
from catgen.interfaces import Bound, EventSpec, InputError, Model, Samples

EVENTS, LATENTS = 3, 8
RNG = np.random.default_rng(0)
PRIOR = RNG.dirichlet(np.ones(LATENTS))  # p(v)
MEANS = np.array([0, 1, 2, 0, 1, 2, 0, -1])  # the event that each latent means; the last one means none
EXACT = np.bincount(MEANS + 1, PRIOR, minlength=EVENTS + 1)[1:]


def posterior(x, spread):
  """q(v | x) on the latents of x: between p(v | x), where the spread is 0, and far from it."""
  q = np.where(x == MEANS, PRIOR * np.exp(spread * np.arange(LATENTS)), 0.0)
  return q / q.sum()


def draws(number, spread, seed=0):
  """Returns log-weights of draws of q(v | x), [draws, events], of draws of p(v), and what these mean."""
  rng = np.random.default_rng(seed)
  weights = []
  for x in range(EVENTS):
    v = rng.choice(LATENTS, number, p=posterior(x, spread))
    weights.append(np.log(PRIOR[v]) - np.log(posterior(x, spread)[v]))
  v = rng.choice(LATENTS, 2 * number, p=PRIOR)
  q = np.array([posterior(max(MEANS[each], 0), spread)[each] for each in range(LATENTS)])
  with np.errstate(divide="ignore"):
    latent_weights = np.where(MEANS[v] >= 0, np.log(PRIOR[v]) - np.log(q[v]), np.inf)
  return np.stack(weights, axis=1), latent_weights, MEANS[v]


def test_means_have_the_standard_error_of_independent_draws():
  values = RNG.normal(size=(50, 3))
  result = found_by.mean(values)
  np.testing.assert_allclose(result.value, values.mean(axis=0))
  np.testing.assert_allclose(result.error, values.std(axis=0, ddof=1) / np.sqrt(50))


def test_exact_probabilities_have_no_error_and_are_known():
  result = found_by.of_log_prob(np.log(EXACT))
  np.testing.assert_allclose(result.p, EXACT)
  assert not result.error.any()
  assert result.known.all()
  assert result.missing() == ""


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_weights_average_to_the_sum_over_latents_and_without_spread_every_draw_is_it(spread):
  weights, _, _ = draws(3000, spread)
  result = found_by.of_weights(weights)
  assert result.known.all()
  if spread == 0.0:
    np.testing.assert_allclose(result.p, EXACT, rtol=1e-9)
    np.testing.assert_allclose(result.error, 0.0, atol=1e-12)
  else:
    assert np.all(np.abs(result.p - EXACT) < 4.5 * result.error)


def test_few_effective_draws_leave_an_event_out():
  weights = np.zeros((500, 2))
  weights[:, 1] = -20.0
  weights[:50, 1] = 0.0  # fifty draws count, the others hardly
  result = found_by.of_weights(weights)
  assert result.known.tolist() == [True, False]
  assert "1 of 2 events left out" in result.missing()


def test_a_claim_about_no_event_has_no_answer():
  none = EventProbabilities(np.ones(2), np.ones(2), np.zeros(2, bool))
  some = none._replace(known=np.array([True, False]))
  assert none.verdict(True) is None
  assert (some.verdict(True), some.verdict(False)) == (True, False)


@pytest.mark.parametrize("spread", [0.0, 0.5, -2.0])
def test_draws_of_both_sides_give_the_sum_over_latents_however_far_the_posterior_is(spread):
  weights, latents, meant = draws(4000, spread)
  result = found_by.of_both_sides(weights, latents, meant)
  assert result.known.all()
  assert np.all(np.abs(result.p - EXACT) < 4.5 * result.error + 1e-12)
  assert result.sensitivity > 0


def test_the_error_of_both_sides_is_the_spread_of_estimating_again():
  results = [found_by.of_both_sides(*draws(200, 0.5, seed)) for seed in range(300)]
  spread = np.std([result.p for result in results], axis=0)
  claimed = np.sqrt(np.mean([result.error**2 for result in results], axis=0))
  np.testing.assert_allclose(claimed, spread, rtol=0.2)
  np.testing.assert_allclose(np.mean([result.p for result in results], axis=0), EXACT, rtol=0.02)


def test_an_event_that_no_draw_of_the_prior_means_lives_on_its_own_draws():
  weights, latents, meant = draws(4000, 0.0)
  elsewhere = np.where(meant == 2, -1, meant)
  latents = np.where(elsewhere < 0, np.inf, latents)
  result = found_by.of_both_sides(weights, latents, elsewhere)
  w = EXACT[2]  # of every draw; 1 / (N / M + w) of it is counted there, the rest was to come from the prior
  np.testing.assert_allclose(result.p[2], w / (1 + 2 * w), rtol=1e-6)


class Uniform:
  """A model of independent uniform positions."""

  def __init__(self, length, num_classes):
    self.event = EventSpec((length,), num_classes)

  def log_prob(self, params, batch, *, state):
    return jnp.where(batch.valid, -jnp.log(self.event.num_classes * 1.0), 0.0).sum(axis=1)

  def bound(self, params, batch, keys, *, state, train, strata=None):
    nats = self.log_prob(params, batch, state=state) - params["gap"]
    return Bound(nats, {"log_prob": nats})

  def sample(self, params, keys, *, given=None, state, options):
    draw = functools.partial(jax.random.randint, shape=self.event.shape, minval=0, maxval=self.event.num_classes)
    x = jax.vmap(draw)(keys)
    return Samples(x, jnp.ones(x.shape, bool))

  def model(self):
    return Model(self.event, lambda *told: ({}, {}), self.bound, self.sample, log_prob=self.log_prob)


@pytest.mark.parametrize(("gap", "holds"), [(0.0, True), (0.5, True), (-0.01, False)])
def test_a_bound_may_lie_below_by_anything_and_above_by_nothing(gap, holds):
  claims = prove(
    Uniform(2, 3).model(), {"gap": jnp.float32(gap)}, {}, key=jax.random.key(0), num_draws=16, num_samples=900
  )
  verdicts = {claim.name: claim.passed for claim in claims}
  assert verdicts["ELBO <= log p(x), every event"] == verdicts["ELBO <= log p(x), on average"] == holds
  assert verdicts["probabilities sum to one"]
  assert verdicts["samples occur as often as p(x) says"]


def test_events_are_counted_with_the_last_position_fastest():
  batch = enumerate_events(Uniform(2, 3).model())
  np.testing.assert_array_equal(batch.x, [[i, j] for i in range(3) for j in range(3)])
  with pytest.raises(InputError, match="at least 16 draws"):
    prove(Uniform(2, 3).model(), {}, {}, key=jax.random.key(0), num_draws=15)
