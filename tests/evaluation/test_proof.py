"""The proof accepts an honest model and finds each kind of dishonesty."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.evaluation import event_probabilities, proof
from catgen.evaluation.enumeration import Space, enumerate_events
from catgen.evaluation.proof import prove, prove_space
from catgen.evaluation.spread import ALONE
from catgen.interfaces import Bound, EventSpec, InputError, Model, SampleOptions, Samples
from catgen.orders import Orders
from tests.evaluation.mixtures import make_parameters, mixture

PARAMS = make_parameters(np.random.default_rng(11))
BOUND = {"ELBO <= log p(x), every event", "ELBO <= log p(x), on average", "full bound = bound in expectation"}


def failures(model: Model, **broken) -> set[str]:
  params = {**PARAMS, **{name: np.float32(value) for name, value in broken.items()}}
  return {claim.name for claim in prove(model, params, {}, key=jax.random.key(0)) if not claim.passed}


@pytest.mark.parametrize("exact", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_an_honest_model_passes_all(exact, seed):
  claims = prove(mixture(exact=exact), PARAMS, {}, key=jax.random.key(seed))
  assert [claim for claim in claims if not claim.passed] == []
  assert len(claims) == 7 + exact


def test_a_model_with_exact_values_only_passes():
  model = mixture()

  def bound(params, batch, keys, *, state, train, strata=None):
    honest = model.bound(params, batch, keys, state=state, train=train)
    return honest._replace(nats=model.log_prob(params, batch, state=state))

  claims = prove(model._replace(bound=bound, log_weight=None, full_bound=None), PARAMS, {}, key=jax.random.key(0))
  assert all(claim.passed for claim in claims)
  assert len(claims) == 4


def test_a_model_with_bounds_only_cannot_claim_more_than_one():
  model = mixture(exact=False)._replace(log_weight=None)
  assert failures(model) == set()
  assert "bounds claim at most probability one" in failures(model, bound_offset=3.0)


def test_a_bound_that_is_too_high_is_found():
  assert failures(mixture(), bound_offset=2.0, weight_offset=-2.0) == BOUND


def test_a_bound_that_is_a_little_off_disagrees_with_the_full_one():
  assert failures(mixture(), bound_offset=-0.1, weight_offset=0.1) == {"full bound = bound in expectation"}


def test_weights_that_are_off_are_found_with_and_without_exact_values():
  assert "weights average to p(x)" in failures(mixture(), weight_offset=0.2)
  assert "probabilities sum to one" in failures(mixture(exact=False), weight_offset=0.2)


@pytest.mark.slow  # as weights that are off
def test_weights_that_are_no_weights_are_found():
  """One random term of a bound, scaled up, has the right mean in the log and the wrong one outside."""
  model = mixture(exact=False)

  def log_weight(params, batch, keys, *, state):
    noise = jax.vmap(jax.random.normal)(keys)
    return model.log_weight(params, batch, keys, state=state) + noise

  assert "probabilities sum to one" in failures(model._replace(log_weight=log_weight))


def test_weights_too_spread_to_tell_prove_nothing():
  """Their mean is right, but no number of draws at hand can show it."""
  model = mixture(exact=False)

  def log_weight(params, batch, keys, *, state):
    noise = 6.0 * jax.vmap(jax.random.normal)(keys)
    return model.log_weight(params, batch, keys, state=state) + noise - 18.0

  claims = {
    claim.name: claim for claim in prove(model._replace(log_weight=log_weight), PARAMS, {}, key=jax.random.key(0))
  }
  judged = claims["samples occur as often as p(x) says"]
  assert judged.passed is None
  assert "9 of 9 events left out: weights too spread" in judged.detail


def test_a_sampler_with_another_temperature_is_found():
  assert failures(mixture(), temperature=1.3) == {"samples occur as often as p(x) says"}


ORDERS = Orders(("one",), ("any",), 2, lambda *told, state, options: options, None)
P = np.random.default_rng(3).dirichlet(np.ones(9))
ONE = "order one, positions_per_call 1"
TWO = "order one, positions_per_call 2, temperature 0.7, top_k 2"


def order_claims(scored=lambda law: P, drawn=lambda law: P, num_classes=3):
  """Returns the claims of orders that fail, where so much is said of each event, and so often each is drawn."""

  def drawn_of(function, number):
    return lambda key: np.log(scored(function(None, None, None, None)))[None, None]

  def counted(options):
    p = drawn(options)
    return np.random.default_rng(0).multinomial(20_000, p / p.sum())[None]

  own = event_probabilities.of_log_prob(np.log(P))
  [claims] = proof._order_claims(ORDERS, num_classes, drawn_of, counted, [own], jax.random.key(0), 20_000)
  assert len(claims) == 5
  return {claim.name for claim in claims if not claim.passed}


def test_every_order_is_proved_and_what_is_not_its_law_is_found():
  sums, occur = "probabilities sum to one", "samples occur as often as p(x) says"
  assert order_claims() == set()
  assert order_claims(drawn=lambda law: P**0.9 if law.top_k else P) == {f"{TWO}: {occur}"}
  assert order_claims(drawn=lambda law: P**0.9 if law.order == "any" else P) == {f"order any: {occur}"}
  larger = order_claims(scored=lambda law: P * (1.1 if law.positions_per_call == 1 else 1))
  assert f"{ONE}: {sums}" in larger
  assert not [name for name in larger if name.startswith((TWO, "order any"))]
  one = order_claims(scored=lambda law: P * (1.1 if law.top_k else 1), num_classes=1)
  assert one == {f"{TWO.replace('top_k 2', 'top_k 1')}: {claim}" for claim in (sums, occur)}


@pytest.mark.slow
def test_orders_of_a_model_are_proved_with_the_rest():
  """An "order" that draws as the model does; one that takes no notice of a temperature is not what it says it is."""
  model = mixture()

  def log_prob(params, batch, *, state, options):
    return model.log_prob(params, batch, state=state)

  def sample(params, keys, *, given=None, state, options):
    return model.sample(params, keys, state=state, options=SampleOptions())

  ordered = model._replace(orders=Orders(("one",), ("any",), 1, log_prob, None), sample=sample)
  claims = prove(ordered, PARAMS, {}, key=jax.random.key(0))
  assert [claim for claim in claims if not claim.passed] == []
  assert len(claims) == 8 + 2 * 2 + 1
  dishonest = ordered._replace(sample=lambda *args, **keywords: model.sample(*args, **keywords))
  assert failures(dishonest) == {f"{TWO.replace('2', '1', 1)}: samples occur as often as p(x) says"}


def test_invalid_samples_that_no_probability_pays_for_are_found():
  model = mixture()

  def sample(params, keys, *, given=None, state, options):
    drawn = model.sample(params, keys, state=state, options=options)
    return drawn._replace(valid=drawn.valid & (np.arange(len(keys)) % 10 > 0)[:, None])

  assert {"probabilities sum to one", "samples occur as often as p(x) says"} <= failures(model._replace(sample=sample))


def test_a_value_that_is_not_a_number_fails():
  model = mixture()

  def log_prob(params, batch, *, state):
    return model.log_prob(params, batch, state=state) + jnp.where(batch.index == 4, jnp.nan, 0.0)

  assert "probabilities sum to one" in failures(model._replace(log_prob=log_prob))


def test_events_are_enumerated_once_each():
  batch = enumerate_events(mixture(3, 4))
  assert batch.x.shape == (64, 3)
  assert len(np.unique(batch.x, axis=0)) == 64
  with pytest.raises(InputError, match="too many"):
    enumerate_events(mixture(10, 4))


LAWS = np.random.default_rng(4).dirichlet(np.ones(9), size=3).astype(np.float32)  # of labels 0 and 1, and of none


def labelled_model(drawn=LAWS):
  """Returns p(x | y) that is written out, and a sampler."""

  def log_prob(params, batch, *, state):
    return jnp.log(jnp.asarray(LAWS))[batch.given[:, 0], batch.x @ jnp.array([3, 1])]

  def bound(params, batch, keys, *, state, train, strata=None):
    return Bound(log_prob(params, batch, state=state), {})

  def sample(params, keys, *, given, state, options):
    events = jax.vmap(jax.random.categorical)(keys, jnp.log(jnp.asarray(drawn))[given[:, 0]])
    x = jnp.stack([events // 3, events % 3], axis=1)
    return Samples(x, jnp.ones(x.shape, bool))

  return Model(EventSpec((2,), 3, (2,)), None, bound, sample, log_prob=log_prob)


def failures_by_label(model):
  space = Space(model, {}, {}, np.arange(3)[:, None], 20_000, ALONE)
  by_label, together = prove_space(space, key=jax.random.key(0), num_draws=16)
  assert [len(claims) for claims in (*by_label, together)] == [4, 4, 4, 1]
  return [{claim.name for claim in claims if not claim.passed} for claims in (*by_label, together)]


def test_each_label_has_claims_of_its_own_and_bayes_finds_it():
  assert failures_by_label(labelled_model()) == [set()] * 4


def test_a_sampler_that_confuses_labels_is_found():
  occur, bayes = "samples occur as often as p(x) says", "samples have labels as often as p(y | x) says"
  assert failures_by_label(labelled_model(LAWS[[1, 0, 2]])) == [{occur}, {occur}, set(), {bayes}]
