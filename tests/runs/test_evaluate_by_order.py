"""Evaluations by an order of drawing: what they are called, where they are kept, and with what they are compared."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from catgen.evaluation import comparison, estimators, results
from catgen.interfaces import InputError, SampleOptions
from catgen.orders import Orders, named, stated
from catgen.runs import evaluate
from catgen.runs.compare import Evaluations, check_same_protocol
from catgen.runs.sample import sample_options
from tests.tiny_run import quiet

HOW = {"max_examples": 8, "num_replicates": 1, "say": quiet}


def log_prob(params, batch, *, state, options):
  """Some number of bits a position that the options tell apart."""
  bits = options.positions_per_call + options.temperature + len(options.forbid) / 8
  return -np.log(2) * bits * batch.valid.sum(axis=1)


@pytest.fixture
def run(text_run, here):
  orders = Orders(("margin", "left_to_right"), ("first_hitting",), 16, log_prob, None)
  model = text_run.model._replace(orders=orders, log_prob=partial(log_prob, options=SampleOptions()))
  return here(text_run._replace(model=model))


def test_numbers_of_different_laws_have_names_and_stand_side_by_side(run, tmp_path):
  laws = [
    {},
    {"order": "margin"},
    {"order": "margin", "positions_per_call": 4},
    {"order": "margin", "positions_per_call": 4, "temperature": 0.5},
    {"order": "margin", "positions_per_call": 4, "temperature": 0.5, "forbid": "a"},
    {"order": "left_to_right", "positions_per_call": 4},
  ]
  found = [evaluate.evaluate(run, **law, **HOW).result for law in laws]
  again = evaluate.evaluate(run, **laws[4], **HOW).result
  assert [record["estimator"] for record in found] == ["exact", *["order"] * 5]
  assert [record["value"] for record in found] == pytest.approx([2, 2, 5, 4.5, 4.625, 5])
  assert found[1]["monte_carlo_error"] == 0
  assert found[4]["forbid"] == list(run.media.named("a"))
  assert results.read_results(tmp_path) == [*found[:4], found[5], again]
  assert len({results.scores_path(tmp_path, record) for record in found}) == len(laws)
  assert "order" not in found[0]
  assert "exact log-likelihood of samples by order margin, positions_per_call 4, temperature 0.5, 1 draw" in (
    evaluate.shown(found[3])
  )
  for record, law in zip(found, laws, strict=True):
    options = sample_options({"sampling": {}}, run.media, **law)
    (only,) = comparison.read_evaluations(tmp_path, split=record["split"], law=options).values()
    assert only.record["value"] == record["value"]
    assert stated(options).items() <= record.items()
  with pytest.raises(InputError, match="no evaluation of the split 'test' of order margin, positions_per_call 2; run"):
    comparison.read_evaluations(tmp_path, split="test", law=SampleOptions(order="margin", positions_per_call=2))


def test_two_laws_are_never_put_side_by_side():
  records = [{**stated(SampleOptions(order="margin", positions_per_call=number))} for number in (1, 2, 2)]
  one, other, same = (
    Evaluations(f"run{i}", SimpleNamespace(), {("order", 1): comparison.Evaluation(record, None)})
    for i, record in enumerate(records)
  )
  check_same_protocol([other, same])
  with pytest.raises(InputError, match="different protocols"):
    check_same_protocol([one, other])


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"temperature": 0.5}, "'exact' is of the model's own p.x., and the law of samples by temperature 0.5 is another"),
    (
      {"estimator": "iwbo", "order": "margin", "top_p": 0.5},
      "by order margin, positions_per_call 1, top_p 0.5 is",
    ),
    ({"estimator": "order"}, "estimator 'order' is of one order: give --order, one of margin, left_to_right"),
    ({"order": "first_hitting"}, "'first_hitting' is drawn, so that .* bound it by --estimator=iwbo"),
    ({"positions_per_call": 2}, "the law of samples by positions_per_call 2 is another"),
  ],
)
def test_a_law_that_is_not_known_is_refused(run, options, message):
  with pytest.raises(InputError, match=message):
    evaluate.evaluate(run, **options, **HOW)


def test_what_has_no_orders_offers_none(text_run, here):
  with pytest.raises(InputError, match="this model has no estimator 'order'; it offers: elbo, full, iwbo"):
    evaluate.evaluate(here(text_run), order="margin", **HOW)
  with pytest.raises(InputError, match="by top_k 3 is another, which is not known; leave them out"):
    evaluate.evaluate(here(text_run), top_k=3, **HOW)
  with pytest.raises(InputError, match=r'estimator="order" is for evaluate, which takes an order$'):
    here(text_run).score(["the cat sat on a"], estimator="order")
  assert estimators.available(text_run.model) == ("elbo", "full", "iwbo")


def test_an_order_leaves_out_the_steps_of_the_configuration(run):
  config = {"sampling": {"num_steps": 7, "temperature": 0.5}}
  assert sample_options(config, run.media).num_steps == 7
  assert sample_options(config, run.media, order="margin") == SampleOptions(order="margin", temperature=0.5)
  assert sample_options(config, run.media, order="margin", num_steps=3).num_steps == 3  # which the sampler refuses


def test_names_say_all_that_differs():
  options = SampleOptions(order="entropy_budget", entropy_budget=0.5, top_k=3, forbid=(1, 2), num_frames=4)
  assert named(stated(options)) == "order entropy_budget, entropy_budget 0.5, top_k 3, forbid 1 2"
  assert named(stated(SampleOptions(num_steps=4, correction=0.1))) == "num_steps 4, correction 0.1"
  assert stated(SampleOptions(num_frames=4)) == {}


def test_a_bound_of_moves_is_another_number_than_the_plain_one(text_run, here, tmp_path):
  run = here(text_run)
  of_moves, plain = evaluate.evaluate(run, num_steps=2, correction=0.5, **HOW), {"estimator": "full", **HOW}
  record = of_moves.result
  assert (record["estimator"], record["num_steps"], record["correction"]) == ("full", 2, 0.5)
  assert "num_steps 2, correction 0.5" in evaluate.shown(record)
  assert record["value"] != evaluate.evaluate(run, **plain).result["value"]
  assert len(results.read_results(tmp_path)) == 2


@pytest.mark.parametrize(
  ("law", "estimator", "line"),
  [
    ({"num_steps": 2}, "elbo", r"follow another law: --estimator=full bounds it"),
    ({"num_steps": 2, "order": "margin"}, "order", "an order has no moves: leave num_steps 2 out"),
    ({"num_steps": 2, "temperature": 0.5}, "full", "samples by temperature 0.5 is another"),
  ],
)
def test_moves_are_of_the_estimator_that_bounds_them(run, law, estimator, line):
  with pytest.raises(InputError, match=line):
    estimators.check_law(run.model, estimator, SampleOptions(**law))
