"""The noisy channel against Bayes' rule by enumeration, and narrow beams against one written with dictionaries."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from catgen.batches import batch_of
from catgen.evaluation import channel, spelling
from catgen.evaluation.spread import Spread
from catgen.interfaces import EventSpec, InputError, SampleOptions
from catgen.models import MODELS
from catgen.networks import TRUNKS
from catgen.orders import Sequential
from catgen.training.collectives import collectives
from tests.coding.test_symbols import coder
from tests.evaluation.mixtures import mixture
from tests.networks.members import MAPS, SIZES

D, K, LABELS = 4, 3, 2
EVENT = EventSpec((D,), K, given=(LABELS,))
X = np.array(list(itertools.product(range(K), repeat=D)))
LAW = np.random.default_rng(0).dirichlet(np.full(len(X), 0.3), LABELS + 1)  # p(x | label), the last without a label
SEEN = np.random.default_rng(1).integers(0, K, (9, D)).astype(np.int32)
GIVEN = np.arange(9, dtype=np.int32)[:, None] % (LABELS + 1)
ALL = len(X)


def conditionals(law):
  """Returns p(category | those before), [labels, positions, beginnings, K], of a law over events."""
  found = np.full((len(law), D, K ** (D - 1), K), 1 / K)
  for d in range(D):
    joint = law.reshape(len(law), K**d, K, -1).sum(axis=-1)
    total = joint.sum(axis=-1, keepdims=True)
    found[:, d, : K**d] = np.where(total > 0, joint / np.where(total > 0, total, 1), 1 / K)
  with np.errstate(divide="ignore"):
    return np.log(found).astype(np.float32)


def tabled():
  """Returns a model that reads a table, `params` as of `conditionals`; all examples share a part of what it keeps."""

  def start(params, valid, *, given=None, state):
    label = jnp.full(len(valid), LABELS) if given is None else given[:, 0]
    return jnp.zeros(len(valid), jnp.int32), label, jnp.arange(D)[None]

  def log_probs(params, carry, position):
    beginning, label, places = carry
    return params[label, places[0, position], beginning], carry

  def observe(carry, position, category):
    return carry[0] * K + category, *carry[1:]

  nothing = mixture(D, K)
  return nothing._replace(event=EVENT, denoise=None, sequential=Sequential(start, log_probs, observe))


MODEL, PARAMS = tabled(), conditionals(LAW)


@functools.cache
def compiled(model, width):
  return jax.jit(functools.partial(channel.meant, model, width=width))


def search(seen, rate, width, *, model=MODEL, params=PARAMS, state=None, valid=None, given=None):
  batch = batch_of(seen, valid, given=given)
  return jax.tree.map(np.asarray, compiled(model, width)(params, state or {}, batch, rate))


def typing(x, seen, rate, sizes=(K,) * D):
  """Returns q(seen | x) of each position, [events, positions]."""
  wrong = np.array([rate / (size - 1) if size > 1 else 0.0 for size in sizes])
  return np.where(x == seen, np.where(np.array(sizes) > 1, 1 - rate, 1.0), wrong)


def by_bayes(x, law, seen, valid, rate, sizes=(K,) * D):
  """Returns the most probable x given what is seen, the posterior of each of its categories, and log p(seen)."""
  joint = law * np.where(valid, typing(x, seen, rate, sizes), 1.0).prod(axis=1)
  best = x[joint.argmax()]
  return best, np.array([joint[x[:, d] == best[d]].sum() for d in range(x.shape[1])]) / joint.sum(), np.log(joint.sum())


def by_dictionaries(log_p, seen, rate, width):
  """Returns what a beam keeps, {beginning: log p q}: of one example, in float64."""
  kept = {(): 0.0}
  for d in range(D):
    longer = {}
    for beginning, score in kept.items():
      number = sum(category * K ** (d - 1 - i) for i, category in enumerate(beginning))
      for category in range(K):
        error = math.log(1 - rate if category == seen[d] else rate / (K - 1))
        longer[(*beginning, category)] = score + float(log_p[d, number, category]) + error
    kept = dict(sorted(longer.items(), key=lambda each: -each[1])[:width])
  return kept


@pytest.mark.parametrize("rate", [0.02, 0.3])
@pytest.mark.parametrize("labelled", [False, True])
def test_a_beam_that_holds_everything_is_bayes_rule(rate, labelled):
  found = search(SEEN, rate, ALL, given=GIVEN if labelled else None)
  for row, seen in enumerate(SEEN):
    law = LAW[GIVEN[row, 0] if labelled else LABELS]
    best, posterior, log_seen = by_bayes(X, law, seen, True, rate)
    np.testing.assert_array_equal(found.x[row], best)
    np.testing.assert_allclose(found.probability[row], posterior, rtol=1e-4)
    assert found.log_seen[row] == pytest.approx(log_seen, abs=1e-4)


@pytest.mark.parametrize("width", [1, 2, 7])
def test_a_narrow_beam_keeps_the_best_and_claims_no_more_than_there_is(width):
  found = search(SEEN, 0.2, width)
  for row, seen in enumerate(SEEN):
    kept = by_dictionaries(PARAMS[LABELS], seen, 0.2, width)
    mass = {x: math.exp(score) for x, score in kept.items()}
    best, total = max(mass, key=mass.get), sum(mass.values())
    np.testing.assert_array_equal(found.x[row], best)
    agreeing = [sum(own for x, own in mass.items() if x[d] == best[d]) / total for d in range(D)]
    np.testing.assert_allclose(found.probability[row], agreeing, rtol=1e-4)
    assert found.log_seen[row] == pytest.approx(math.log(total), abs=1e-4)
    assert found.log_seen[row] < by_bayes(X, LAW[LABELS], seen, True, 0.2)[2]


def test_padding_is_left_as_it_is_and_ends_the_reading():
  lengths = np.arange(9) % (D + 1)
  valid = np.arange(D)[None] < lengths[:, None]
  found = search(SEEN, 0.2, ALL, valid=valid)
  np.testing.assert_array_equal(found.x[~valid], SEEN[~valid])
  np.testing.assert_array_equal(found.probability[~valid], 1)
  for row, seen in enumerate(SEEN):
    short = LAW[LABELS].reshape(K ** lengths[row], -1).sum(axis=1)
    beginnings = X[:: K ** (D - lengths[row])]
    best, posterior, log_seen = by_bayes(beginnings, short, seen, valid[row], 0.2)
    np.testing.assert_array_equal(found.x[row][valid[row]], best[valid[row]])
    np.testing.assert_allclose(found.probability[row][valid[row]], posterior[valid[row]], rtol=1e-4)
    assert found.log_seen[row] == pytest.approx(log_seen, abs=1e-4)


def test_the_network_is_called_for_no_position_after_the_last_valid_one():
  calls = []

  def counted(params, carry, position):
    jax.debug.callback(lambda at: calls.append(int(at)), position)
    return MODEL.sequential.log_probs(params, carry, position)

  model = MODEL._replace(sequential=MODEL.sequential._replace(log_probs=counted))
  found = search(SEEN, 0.2, 2, model=model, valid=np.broadcast_to(np.arange(D) < 2, SEEN.shape))
  jax.effects_barrier()
  assert sorted(calls) == [0, 1]
  assert np.isfinite(found.log_seen).all()
  none = search(SEEN, 0.2, 2, model=model, valid=np.zeros(SEEN.shape, bool))
  jax.effects_barrier()
  assert len(calls) == 2
  np.testing.assert_array_equal(none.x, SEEN)
  np.testing.assert_array_equal(none.log_seen, 0)


def test_without_errors_all_stays_as_it_is_seen_at_its_own_probability():
  found = search(SEEN, 0.0, 5)
  np.testing.assert_array_equal(found.x, SEEN)
  np.testing.assert_allclose(found.probability, 1, rtol=1e-5)
  of_seen = LAW[LABELS][(SEEN @ K ** np.arange(D)[::-1]).astype(int)]
  np.testing.assert_allclose(found.log_seen, np.log(of_seen), atol=1e-4)


def test_what_the_model_cannot_draw_is_never_chosen_and_what_nothing_explains_stays():
  law = np.where((X == 1).any(axis=1), 0, LAW)
  params = conditionals(law / law.sum(axis=1, keepdims=True))
  found = search(SEEN, 0.6, 6, params=params)
  assert (SEEN == 1).any()
  assert (found.x != 1).all()
  lost = (SEEN == 1).any(axis=1)
  nothing = search(SEEN, 0.0, 6, params=params)
  np.testing.assert_array_equal(nothing.x, SEEN)
  np.testing.assert_array_equal(nothing.log_seen == -np.inf, lost)
  np.testing.assert_array_equal(nothing.probability[lost], 0)
  np.testing.assert_allclose(nothing.probability[~lost], 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["columns", "masked"])
def test_networks_that_are_read_position_by_position_give_bayes_rule(name):
  """Of columns with sizes of their own by an autoregressive model, of holes anywhere by a masked one."""
  own, rng, rate = coder(name), np.random.default_rng(2), 0.25
  sizes = own.model.event.sizes or (3, 3, 3)
  x = np.array(list(itertools.product(*map(range, sizes))), np.int32)
  padded = np.resize(x, (27, 3))
  seen = x[rng.integers(0, len(x), 27)]
  valid = np.ones(seen.shape, bool) if name == "columns" else rng.random(seen.shape) < 0.7
  law = SampleOptions(order="left_to_right")
  log_prob = jax.jit(functools.partial(own.model.orders.log_prob, options=law))
  found = search(seen, rate, 27, model=own.model, params=own.params, state=own.state, valid=valid)
  np.testing.assert_array_equal(found.x[~valid], seen[~valid])
  for row in range(27) if name == "columns" else range(6):
    holes = np.broadcast_to(valid[row], padded.shape)
    p = np.exp(np.asarray(log_prob(own.params, batch_of(padded, holes), state=own.state), np.float64))[: len(x)]
    if not valid[row].all():  # each beginning once
      p = np.where((x[:, ~valid[row]] == 0).all(axis=1), p, 0)
    best, posterior, log_seen = by_bayes(x, p, seen[row], valid[row], rate, sizes)
    np.testing.assert_array_equal(found.x[row][valid[row]], best[valid[row]])
    np.testing.assert_allclose(found.probability[row][valid[row]], posterior[valid[row]], rtol=1e-3)
    assert found.log_seen[row] == pytest.approx(log_seen, abs=1e-3)


def test_corrections_are_by_default_of_what_the_model_can():
  """A beam is of the channel alone, and the model that denoises is asked for it by name."""
  both = MODEL._replace(denoise=mixture(D, K).denoise)
  assert [spelling.chosen(model) for model in (MODEL, both)] == [("channel",), ("bayes", "paper")]
  assert spelling.available(both) == spelling.METHODS
  batch = batch_of(SEEN, np.broadcast_to(np.arange(D) < 3, SEEN.shape))
  found = spelling.correct(MODEL, PARAMS, {}, batch, 0.2)
  expected = search(SEEN, 0.2, spelling.BEAM, valid=batch.valid)
  np.testing.assert_array_equal(found.x, expected.x)
  np.testing.assert_array_equal(found.changed, found.x != SEEN)
  np.testing.assert_array_equal(found.log_seen, expected.log_seen)
  wide = spelling.correct(both, PARAMS, {}, batch, 0.2, method="channel", beam=ALL)
  assert (wide.log_seen >= found.log_seen).all()
  assert (wide.log_seen > found.log_seen).any()
  for how, line in (({"beam": 0}, "beam is 0"), ({"method": "bayes"}, "it can by channel")):
    with pytest.raises(InputError, match=line):
      spelling.correct(MODEL, PARAMS, {}, batch, 0.2, **how)
  with pytest.raises(InputError, match="beam is of the method channel"):
    spelling.chosen(both, beam=4)


def test_one_program_serves_every_rate():
  spelling.correct(MODEL, PARAMS, {}, batch_of(SEEN), 0.2)
  program = spelling._compiled_channel(MODEL, spelling.BEAM, spelling.ALONE)
  before = program._cache_size()
  one, other = (spelling.correct(MODEL, PARAMS, {}, batch_of(SEEN), rate).log_seen for rate in (0.1, 0.3))
  assert program._cache_size() == before
  assert (one != other).any()


def test_seven_examples_are_corrected_on_eight_devices_as_on_one():
  mesh = jax.make_mesh((4, 2), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)
  eight = Spread(mesh, ("data", "fsdp"))
  shared = jax.device_put(PARAMS, NamedSharding(mesh, PartitionSpec()))
  batch = batch_of(SEEN[:7], given=GIVEN[:7])
  one = spelling.correct(MODEL, PARAMS, {}, batch, 0.2)
  many = spelling.correct(MODEL, shared, {}, batch, 0.2, spread=eight)
  np.testing.assert_array_equal(many.x, one.x)
  np.testing.assert_allclose(many.probability, one.probability, rtol=1e-5)
  np.testing.assert_allclose(many.log_seen, one.log_seen, rtol=1e-5)
  placed, search = eight.put(batch_of(SEEN[:8], given=GIVEN[:8])), spelling._compiled_channel(MODEL, 5, eight)
  found = collectives(search.lower(shared, {}, placed, np.float32(0.2)).compile().as_text())
  assert found  # of the results
  assert all(each.bounded for each in found)  # and none in the loop over positions


def test_scores_of_a_beam_have_the_counts_of_its_corrections():
  """Seven examples, two at a time."""
  truth, rng = batch_of(X[::11][:7].astype(np.int32)), np.random.default_rng
  (found,) = spelling.score(MODEL, PARAMS, {}, truth, rng=rng(3), rate=0.3, batch_size=2 * spelling.BEAM).values()
  typed = spelling.corrupt(rng(3), truth, 0.3, K)
  assert found == spelling.judge(truth, typed.x, spelling.correct(MODEL, PARAMS, {}, typed, 0.3).x)
  assert found.wrong_before.hits > 0


def test_errors_of_a_column_are_among_its_own_categories():
  sizes, x = (1, 2, 5), np.zeros((400, 3), np.int32)
  y = spelling.corrupt(np.random.default_rng(0), batch_of(x), 0.5, 5, sizes=sizes).x
  assert [np.unique(column).tolist() for column in y.T] == [[0], [0, 1], [0, 1, 2, 3, 4]]


@pytest.mark.parametrize("kind", [kind for kind in SIZES if TRUNKS[kind].make.abilities.causal])
def test_what_a_network_keeps_has_the_examples_first_or_one_for_all(kind):
  """So that a beginning takes over what its parent had."""
  event = EventSpec((4, 4) if kind in MAPS else (6,), K)
  model = MODELS["autoregressive"].make(event=event, network=TRUNKS[kind](**SIZES[kind]))

  def kept(batch_size):
    def begin(params, valid):
      carry = model.sequential.start(params, valid, state={})
      return carry, model.sequential.log_probs(params, carry, jnp.int32(1))[1]

    x = np.zeros((batch_size, *event.shape), np.int32)
    params = jax.eval_shape(lambda: model.init(batch_of(x), jax.random.key(0))[0])
    return jax.tree.leaves(jax.eval_shape(begin, params, np.ones(x.shape, bool)))

  for three, five in zip(kept(3), kept(5), strict=True):
    assert (three.shape[0], five.shape[0]) in ((3, 5), (1, 1))
    assert three.shape[1:] == five.shape[1:]
