"""Laws of drawing beside references, by hand on few events."""

import numpy as np
import pytest

from catgen.evaluation import enumeration, order_curves
from catgen.interfaces import InputError, SampleOptions
from catgen.orders import Orders
from tests.evaluation.mixtures import mixture

P, Q = np.array([0.5, 0.25, 0.125, 0.125]), np.array([0.1, 0.2, 0.3, 0.4])
KL = (P * np.log2(P / Q)).sum()
ORDERS = Orders(("one", "entropy_budget", "blocks"), ("any",), 4, None, None)


def test_the_divergence_of_samples_is_that_of_their_law():
  """Samples that occur exactly as often as they should."""
  drawn = np.repeat(np.arange(4), (8 * P).astype(int))
  own, other, two = np.log(P)[drawn], np.log(Q)[drawn], np.full(8, 2)
  found = order_curves.divergence(own, other, two)
  assert found.value == pytest.approx(KL / 2)
  assert found.error == pytest.approx(np.std(own - other, ddof=1) / np.log(2) / 2 / np.sqrt(8))
  assert order_curves.divergence(own, own, two) == (0.0, 0.0)
  assert np.isnan(order_curves.divergence(own[:1], other[:1], two[:1]).error)


def test_the_distance_of_a_law_from_frequencies():
  counts = np.array([50, 25, 0, 25])
  found = order_curves.distance(np.log(Q), counts, 2)
  assert found.total_variation == pytest.approx((0.4 + 0.05 + 0.3 + 0.15) / 2)
  frequencies = counts[counts > 0] / 100
  assert found.bits == pytest.approx((frequencies * np.log2(frequencies / Q[counts > 0])).sum() / 2)
  assert order_curves.distance(np.log(P), (8 * P).astype(int), 2) == pytest.approx((0.0, 0.0), abs=1e-12)
  with np.errstate(divide="ignore"):
    assert order_curves.distance(np.log([0.5, 0.5, 0.0, 0.0]), counts, 2).bits == np.inf


def test_events_are_counted_in_their_sequence():
  events = enumeration.enumerate_events(mixture(3, 4))
  times = np.random.default_rng(0).integers(0, 5, len(events.x))
  np.testing.assert_array_equal(order_curves.count_events(np.repeat(events.x, times, axis=0), 4), times)


def test_each_order_has_as_many_positions_a_call_as_the_model_draws_together():
  restrictions = SampleOptions(temperature=0.5)

  def blocks(calls):  # as many calls as the others make
    assert calls == [4, 1]
    return [(1, 1, 1, 1), (4,)]

  found = order_curves.laws_of(ORDERS, (), (1, 4, 16), (0.1, 2.0), restrictions, blocks)
  assert [(law.order, law.positions_per_call, law.entropy_budget, law.blocks) for law in found] == [
    ("one", 1, 0.0, ()),
    ("one", 4, 0.0, ()),
    ("entropy_budget", 1, 0.1, ()),
    ("entropy_budget", 1, 2.0, ()),
    ("blocks", 1, 0.0, (1, 1, 1, 1)),
    ("blocks", 1, 0.0, (4,)),
  ]
  assert {law.temperature for law in found} == {0.5}
  assert order_curves.laws_of(ORDERS, ("entropy_budget",), (1,), (), restrictions, blocks) == []
  with pytest.raises(InputError, match="no order 'any' with an exact likelihood; it has: one, entropy_budget"):
    order_curves.laws_of(ORDERS, ("any",), (1,), (), restrictions, blocks)
