"""Tables of a Bayesian network: likelihoods, completions and probabilities of columns against exact conditionals."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.sharding import AxisType

from catgen import meshes
from catgen.batches import batch_of
from catgen.data.characters import TEXT8_ALPHABET
from catgen.data.codecs import alphabet_codec
from catgen.distributions import categorical
from catgen.evaluation.spread import Spread
from catgen.interfaces import EventSpec, InputError, SampleOptions
from catgen.keys import example_keys
from catgen.media import media_of
from catgen.models import MODELS
from catgen.processes import PROCESSES, SCHEDULES
from catgen.reporting.progress import Progress
from catgen.runs import classify_column
from catgen.runs.classify import classify, describe
from catgen.runs.infill import infill
from tests.contracts.making import initial
from tests.contracts.parts import transformer
from tests.models.bayesian import EVENT, EVENTS, NAMES, SIZES, VALUES, P, conditional, marginal, oracle, run_of
from tests.models.whole_law import on_device, trained

IN_TURN = SampleOptions(order="left_to_right")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  model = oracle()
  compiled = model.infill._replace(draw=jax.jit(model.infill.draw, static_argnames="options"))
  return run_of(model._replace(infill=compiled), {}, str(tmp_path_factory.mktemp("oracle")))


def test_a_model_that_knows_every_conditional_has_the_probabilities_of_the_network(run):
  possible = EVENTS[P > 0]
  nats = jax.jit(functools.partial(run.model.orders.log_prob, options=IN_TURN))({}, batch_of(possible), state={})
  np.testing.assert_allclose(np.exp(nats), P[P > 0], rtol=1e-5)


@pytest.mark.parametrize("observed", [{3: 1}, {0: 2, 2: 3}, {1: 0, 3: 1}, {4: 0}])
def test_rows_are_completed_by_the_exact_conditional(observed, run):
  where = [f"{NAMES[d]}={VALUES[d][value]}" for d, value in observed.items()]
  found = infill(run, where=where, num_samples=2000, order="left_to_right", pictures=False)
  assert all((found.x[:, d] == value).all() for d, value in observed.items())
  assert (found.x < SIZES).all()
  p = conditional(observed)
  counts = np.zeros(len(EVENTS))
  np.add.at(counts, np.ravel_multi_index(found.x.T, SIZES), 1)
  assert not counts[p == 0].any()
  assert np.abs(counts / 2000 - p).max() < 5 * 0.5 / np.sqrt(2000)


def test_draws_that_choose_a_block_of_categories_first_have_the_same_law(monkeypatch):
  monkeypatch.setattr(categorical, "WIDE", 1)
  draw = jax.jit(functools.partial(oracle().sample, state={}, options=IN_TURN))
  x = np.asarray(draw({}, example_keys(jax.random.key(0), jnp.arange(4000))).x)
  assert (x < SIZES).all()
  counts = np.bincount(np.ravel_multi_index(x.T, SIZES), minlength=len(EVENTS))
  assert not counts[P == 0].any()
  expected = 4000 * P[P > 0]
  assert scipy.stats.chisquare(counts[P > 0], expected / expected.sum() * 4000).pvalue > 1e-4


@pytest.mark.parametrize("column", NAMES)
def test_a_masked_model_tells_a_column_from_any_others(column, run):
  place, rows, expected = NAMES.index(column), [], []
  rng = np.random.default_rng(place)
  for event in EVENTS[rng.choice(len(EVENTS), 20, p=P)]:
    observed = {d: int(event[d]) for d in range(5) if d != place and rng.random() < 0.5}
    rows.append({NAMES[d]: VALUES[d][value] for d, value in observed.items()})
    expected.append(marginal(conditional(observed) if observed else P, place))
  found = classify(run, rows, column=column)
  assert found.attribute.values == VALUES[place]
  assert found.quality is None
  np.testing.assert_allclose(found.probabilities, expected, atol=2e-6)
  assert "exact probabilities of the model" in describe(found)


def test_what_is_told_is_judged_where_it_is_known_beside_shares_of_training_rows(run, monkeypatch):
  place, train = NAMES.index("road"), EVENTS[P > 0][::3]
  monkeypatch.setattr(classify_column, "spread_examples", lambda run, split, number: {"train": batch_of(train)}[split])
  rows = [{"rain": VALUES[1][0], **road} for road in ({"road": VALUES[place][1]}, {}, {"road": VALUES[place][0]})]
  found = classify(run, rows, column="road")
  np.testing.assert_array_equal(found.probabilities[1:], found.probabilities[:2])  # a row's own value is not read
  counts = 1 + np.bincount(train[:, place], minlength=SIZES[place])
  assert found.quality.num_examples == 2
  assert found.quality.prior_log_loss == pytest.approx(-np.log2(counts[[1, 0]] / counts.sum()).mean())


def test_eight_devices_tell_a_column_of_nine_rows_as_one_does(run):
  """A row or two on each, with a bar that comes to its end."""
  devices, shown = [], []

  def log_probs(*arguments):
    devices.append(meshes.per_device(16))
    return run.model.sequential.log_probs(*arguments)

  mesh = jax.make_mesh((4, 2), meshes.BATCH_AXES, axis_types=(AxisType.Auto,) * 2)
  model = run.model._replace(sequential=run.model.sequential._replace(log_probs=log_probs))
  eight = run._replace(model=model, spread=Spread(mesh, meshes.BATCH_AXES))
  rows = [{"rain": VALUES[1][i % 2], **({"road": VALUES[2][i % 3]} if i < 5 else {})} for i in range(9)]

  def progress(total, **_):
    return Progress(lambda amount: shown.append(amount / total), print, lambda: None)

  told = classify(eight, rows, column="crash", progress=progress).probabilities
  np.testing.assert_allclose(told, classify(run, rows, column="crash").probabilities, rtol=1e-6)
  assert devices == [2]
  assert sum(shown) == pytest.approx(1.0)


@functools.cache
def autoregressive():
  model = MODELS["autoregressive"].make(event=EVENT, network=transformer())
  params, state = initial(model)
  return model._replace(log_prob=jax.jit(model.log_prob)), params, state


def test_another_model_tells_a_column_from_all_others_by_bayes_rule(tmp_path):
  model, params, state = autoregressive()
  p = np.exp(np.float64(model.log_prob(params, batch_of(EVENTS), state=state))).reshape(SIZES)
  np.testing.assert_allclose(p.sum(), 1.0, rtol=1e-5)
  run, event = run_of(model, params, str(tmp_path)), EVENTS[13]
  found = classify(run, event[None], column="road", prior="uniform")
  joint = p[event[0], event[1], :, event[3], event[4]]
  np.testing.assert_allclose(found.probabilities[0], joint / joint.sum(), rtol=1e-4)
  assert found.quality.num_examples == 1
  with pytest.raises(InputError, match="row 0 lacks other cells than that of the column"):
    classify(run, [{"rain": "no"}], column="road")


def test_what_cannot_be_told_or_observed_is_one_line(run):
  text_run = run._replace(media=media_of(EventSpec((8,), 27), alphabet_codec(TEXT8_ALPHABET), "character"))
  with pytest.raises(InputError, match="there is no column 'wether'"):
    classify(run, [{}], column="wether")
  with pytest.raises(InputError, match="either --input=file or --split=test"):
    classify(run, column="road")
  with pytest.raises(InputError, match="--column is of tables"):
    classify(text_run, ["a"], column="road")
  with pytest.raises(InputError, match="--where is of columns of tables"):
    infill(text_run, where=["a=b"])
  for where in (["rain"], ["rain=no", "rain=yes"]):
    with pytest.raises(InputError, match=f"--where={where[-1]} is no column and its value, given once"):
      infill(run, where=where)
  with pytest.raises(InputError, match="column 'weather' has 'hail'"):
    infill(run, where=["weather=hail"])
  with pytest.raises(InputError, match="leave --input and --split out"):
    infill(run, where=["rain=no"], input="a.csv")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["autoregressive", "masked", "uniform"])
def test_training_on_the_whole_law_reaches_it(name):
  """Full batches of all events, weighted by their probabilities: KL(p || model) to zero, or its bound."""
  options = {"process": PROCESSES["absorbing" if name == "masked" else "uniform"](), "num_steps": 20}
  options["schedule"] = SCHEDULES["linear" if name == "masked" else "cosine"]()
  kind = name if name in MODELS else "diffusion"
  model = MODELS[kind].make(event=EVENT, network=transformer(), **(options if kind == "diffusion" else {}))
  params, state = trained(model, EVENTS, P)
  entropy = -np.sum(P[P > 0] * np.log(P[P > 0]))
  if name == "uniform":
    many = on_device(np.repeat(EVENTS, 200, axis=0))
    keys = example_keys(jax.random.key(1), jnp.arange(len(many.x)))
    nats = np.asarray(jax.jit(model.full_bound)(params, many, keys, state=state)[0].nats).reshape(len(EVENTS), -1)
    gap = -np.sum(P[P > 0] * nats.mean(axis=1)[P > 0]) - entropy
    assert -0.05 < gap < 0.12
    return
  events = on_device(EVENTS)
  if name == "masked":
    nats = jax.jit(functools.partial(model.orders.log_prob, options=IN_TURN))(params, events, state=state)
  else:
    nats = jax.jit(model.log_prob)(params, events, state=state)
  log_q = np.float64(nats)
  np.testing.assert_allclose(np.exp(log_q).sum(), 1.0, rtol=1e-4)
  assert 0 <= np.sum(P[P > 0] * (np.log(P[P > 0]) - log_q[P > 0])) < 0.02
