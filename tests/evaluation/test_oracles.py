"""Predictions that are exact, laws that follow from them, and what a bench of samplers says of a wrong one."""

import itertools

import jax
import numpy as np
import pytest

from catgen.evaluation import exact_laws, oracles
from catgen.evaluation.oracles import Row, bench, claims_of, in_random_order, predictions, repeating
from catgen.evaluation.spread import ALONE
from catgen.interfaces import EventSpec, SampleOptions
from catgen.models import MODELS
from catgen.processes import PROCESSES, SCHEDULES
from tests.contracts import exact
from tests.evaluation.lookups import NETWORK, K, T, model_of

PAIR = EventSpec((2,), K)
LAW = "oracle: samples follow the exact law"


def parts(process, size, num_steps=T):
  """Returns states, noise of all moves and exact predictions, noise next to the data first."""
  reverse, event = model_of(process, num_steps, size=size).reverse, EventSpec((size,), K)
  ends, _ = exact_laws.times_of(reverse, SampleOptions(num_steps=T))
  states, noise = exact_laws.states_of(reverse, event), exact_laws.noise_of(reverse, {}, event, ends[:-1], ends[1:])
  return states, noise, predictions(states, event, repeating(event), noise.at_t)


def test_the_written_law_is_one_and_repeats():
  p = repeating(EventSpec((3,), K))
  x = exact.events(K, 3)
  assert p.sum() == pytest.approx(1)
  assert p[x[:, 0] == x[:, 1]].sum() == pytest.approx(0.8 + 0.2 / K)
  np.testing.assert_allclose(np.bincount(x[:, 0], p), [1 / 2, 1 / 3, 1 / 6])


@pytest.mark.parametrize("process", ["absorbing", "uniform", "hybrid", "kernel"])
def test_predictions_are_those_of_bayes_rule(process):
  states, noise, table = parts(process, 2)
  p = repeating(PAIR).reshape(K, K)
  for t, d in itertools.product(range(T), range(2)):
    joint = (p if d == 0 else p.T) @ noise.at_t[t, 1 - d]  # [x^d, x_t of the other]
    seen = joint[:, states.flat[:, 1 - d]].T
    possible = seen.sum(axis=1) > 0
    expected = seen[possible] / seen[possible].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(table[t][possible, d], expected, atol=1e-9)


@pytest.mark.parametrize("process", ["absorbing", "uniform", "prior", "hybrid", "kernel"])
def test_of_a_single_position_every_sampler_draws_p(process):
  """By any number of moves, with a correction and without."""
  states, noise, table = parts(process, 1)
  with np.errstate(divide="ignore"):
    laws = [states.law(np.log(table), noise, SampleOptions(correction=share)) for share in (0.0, 0.6)]
  np.testing.assert_allclose(laws, np.broadcast_to(repeating(EventSpec((1,), K)), (2, K)), atol=1e-5)


def test_one_masked_position_after_the_other_draws_p_in_any_order():
  table = parts("absorbing", 3)[2]
  p = repeating(EventSpec((3,), K))
  np.testing.assert_allclose(in_random_order(table[0], K + 1, K), p, atol=1e-12)
  wrong = np.roll(table[0], 1, axis=-1)
  assert np.abs(in_random_order(wrong, K + 1, K) - p).sum() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("num_classes", "size"), [(1, 2), (K, 1)])
def test_of_one_category_or_position_all_samplers_are_right(num_classes, size):
  """Their distance is rounding, of which no more is asked to fall."""
  event = EventSpec((size,), num_classes)
  parts = {"process": PROCESSES["absorbing"](), "schedule": SCHEDULES["linear"](), "network": NETWORK}
  reverse = MODELS["diffusion"].make(event=event, num_steps=2, **parts).reverse
  rows = bench(reverse, {}, event, key=jax.random.key(0), num_samples=200, spread=ALONE)
  assert all(row.total_variation < 1e-6 for row in rows)
  assert all(claim.passed for claim in claims_of(rows))


def benched(sampled=lambda options: options):
  """Returns the claims of a bench of two steps of masks whose sampler draws by changed options."""
  reverse = model_of("absorbing", 2).reverse

  def with_predictions(function):
    model = reverse.with_predictions(function)
    return model._replace(
      sample=lambda params, keys, *, given=None, state, options: model.sample(
        params, keys, given=given, state=state, options=sampled(options)
      )
    )

  own = reverse._replace(with_predictions=with_predictions)
  rows = bench(own, {}, PAIR, key=jax.random.key(0), num_samples=4000, spread=ALONE)
  assert [row.calls for row in rows] == [1, 2, 1, 2, 1, 2]
  assert [row.p_value is None for row in rows] == [True, False, True, True, False, True]
  return {claim.name: claim.passed for claim in claims_of(rows)}


@pytest.mark.slow
def test_samplers_draw_their_laws():
  assert set(benched().values()) == {True}


@pytest.mark.slow  # as another temperature in tests/evaluation/test_law_proof.py
def test_a_sampler_in_fewer_moves_than_it_says_is_found():
  found = benched(lambda options: options._replace(num_steps=options.num_steps and 1))
  assert {name for name, passed in found.items() if not passed} == {LAW}


def test_claims_of_a_bench_can_fail():
  first, last = (
    Row(SampleOptions(num_steps=number), number, away, 0.1, 0.5, False) for number, away in ((1, 0.4), (2, 0.2))
  )
  order = Row(SampleOptions(order="margin"), 2, 1e-8, 0.0, None, True)
  assert [claim.passed for claim in claims_of([first, last, order])] == [True, True, True]
  assert [claim.passed for claim in claims_of([first, last._replace(p_value=1e-6)])] == [False, True]
  assert [claim.passed for claim in claims_of([first, last._replace(total_variation=0.5)])] == [True, False]
  assert [claim.passed for claim in claims_of([first, last, order._replace(total_variation=0.01)])] == [
    True,
    True,
    False,
  ]
  assert oracles.claims_of([first])[1].passed
  rounded = [row._replace(total_variation=1e-8) for row in (first, last)]  # of one position nothing is left to fall
  assert oracles.claims_of(rounded)[1].passed
