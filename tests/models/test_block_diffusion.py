"""Block diffusion against every order of every block in float64, and against the autoregressive model."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from catgen.evaluation import channel
from catgen.interfaces import EventSpec, InputError, SampleOptions
from catgen.models import MODELS
from catgen.models.block_diffusion.likelihood import nats_of, over_orders
from catgen.networks import TRUNKS
from tests.contracts import blocks
from tests.contracts.exact import events as all_events
from tests.contracts.making import initial
from tests.models.stubs import keys_of, keys_up_to, whole

LENGTH, SIZE, K = 6, 3, 2
EVENT = EventSpec((LENGTH,), K)
EVENTS = all_events(K, LENGTH)
NETWORK = TRUNKS["transformer"](width=16, num_layers=2, num_heads=2)
PARTLY = np.array([True, True, False, True, True, True]), np.array([True, False, True, False, False, False])


@functools.cache
def made(block_length=SIZE, event=EVENT):
  model = MODELS["block_diffusion"].make(event=event, network=NETWORK, block_length=block_length)
  return model, initial(model, scale=1.5)[0]


def spec_of(model):
  return model.bound.args[0]


@functools.cache
def log_predictions():
  model, params = made()
  return blocks.log_predictions(spec_of(model), params, EVENTS)


@functools.cache
def log_prob(block_length=SIZE):
  model, params = made(block_length)
  return jax.jit(functools.partial(model.log_prob, params, state={}))


def test_blocks_of_one_position_are_the_autoregressive_model_of_the_same_parameters():
  model, params = made(1)
  rival = MODELS["autoregressive"].make(event=EVENT, network=NETWORK)
  batch = whole(EVENTS)._replace(valid=np.random.default_rng(0).random(EVENTS.shape) < 0.8)
  expected = jax.jit(functools.partial(rival.log_prob, params, state={}))(batch)
  np.testing.assert_allclose(log_prob(1)(batch), expected, atol=1e-5)

  @jax.jit
  def bound(batch, keys):
    return model.bound(params, batch, keys, state={}, train=False).nats

  np.testing.assert_allclose(bound(batch, keys_of(batch)), expected, atol=1e-5)  # a block has one number of masks
  assert model.infill.exact
  assert jax.tree.map(np.shape, initial(rival)[0]) == jax.tree.map(np.shape, params)


def test_the_likelihood_is_the_mean_over_all_orders_and_sums_to_one():
  along = blocks.of_orders(log_predictions(), SIZE)
  np.testing.assert_allclose(log_prob()(whole(EVENTS)), np.log(np.exp(along).mean(axis=0)).sum(axis=1), atol=1e-5)
  np.testing.assert_allclose(np.exp(np.float64(log_prob()(whole(EVENTS)))).sum(), 1.0, atol=1e-5)
  assert np.ptp(along, axis=0).max() > 0.1  # orders differ
  for valid in PARTLY:  # what does not count is in no order, and sums to as many as it could be
    nats = np.float64(log_prob()(whole(EVENTS)._replace(valid=np.broadcast_to(valid, EVENTS.shape))))
    np.testing.assert_allclose(np.exp(nats).sum(), K ** (~valid).sum(), rtol=1e-5)


def test_the_sum_over_sets_is_the_mean_over_orders_of_the_valid_positions():
  rng, size = np.random.default_rng(1), 4
  p, valid = rng.random((2**size, size)), rng.random((6, size)) < 0.7
  valid[0], valid[1] = True, False
  there = [int((1 << np.flatnonzero(row)).sum()) for row in valid]
  log_p = np.log(np.float32([[p[number & own] for own in there] for number in range(2**size - 1)]))
  found = jax.jit(over_orders)(log_p, valid)
  for row, own in enumerate(valid):
    products = [
      np.prod([p[sum(1 << before for before in order[:i]), place] for i, place in enumerate(order)])
      for order in itertools.permutations(np.flatnonzero(own).tolist())
    ]
    np.testing.assert_allclose(found[row], np.log(np.mean(products)), rtol=1e-5, atol=1e-6)


def test_the_bound_is_the_mean_of_the_logarithm_over_orders():
  """All numbers of masks and all choices of them, each with equal probability; below log p by Jensen's inequality."""
  model, params = made()
  orders = np.array(list(itertools.permutations((0.2, 0.5, 0.8))), np.float32)
  rows = [
    ((number + 0.25) / SIZE, np.tile(scores, LENGTH // SIZE)) for number in range(SIZE) for scores in orders
  ]  # both blocks with the same scores; what is masked in one says nothing of the other
  uniforms, scores = (np.array(part, np.float32) for part in zip(*rows, strict=True))
  x = EVENTS[::7]
  batch = whole(np.repeat(x, len(rows), axis=0))
  drawn = jax.jit(functools.partial(nats_of, spec_of(model)))
  nats = drawn(params, batch, np.tile(uniforms, len(x)), np.tile(scores, (len(x), 1)))
  mean = np.float64(nats).reshape(len(x), -1).mean(axis=1)
  along = blocks.of_orders(log_predictions(), SIZE)[:, ::7]
  np.testing.assert_allclose(mean, along.mean(axis=0).sum(axis=1), rtol=1e-5)
  assert np.all(mean < np.float64(log_prob()(whole(EVENTS)))[::7])


def test_the_bound_counts_what_is_there_alone():
  model, params = made()
  batch = whole(EVENTS[:3])._replace(valid=np.stack([*PARTLY, np.zeros(LENGTH, bool)]))

  @jax.jit
  def bound(batch, keys, strata):
    return model.bound(params, batch, keys, state={}, train=False, strata=strata)

  found = bound(batch, keys_of(batch), np.full(3, 0.3, np.float32))
  assert list(found.terms) == ["diffusion"]
  assert found.nats[2] == 0.0
  assert np.all(found.nats[:2] < 0)


def test_weights_are_products_along_an_order():
  model, params = made()
  batch = whole(np.repeat(EVENTS[::9], 50, axis=0))
  drawn = jax.jit(functools.partial(model.log_weight, params, state={}))(batch, keys_of(batch)).reshape(-1, 50)
  along = blocks.of_orders(log_predictions(), SIZE)[:, ::9]
  for one, of_blocks in zip(np.float64(drawn), along.transpose(1, 2, 0), strict=True):
    every = np.add.outer(*of_blocks).ravel()
    assert np.abs(one[:, None] - every[None]).min(axis=1).max() < 1e-4
    assert len(np.unique(np.round(one, 4))) > 5


def path(log_p, x, order, together):
  """log p(x) along a deterministic order of one block, and its calls: of log p of all categories by visible places."""
  visible, total, calls = (), 0.0, 0
  while len(visible) < SIZE:
    told, left = log_p[visible], [place for place in range(SIZE) if place not in visible]
    ordered = np.sort(np.exp(told), axis=-1)
    scores = {
      "left_to_right": -np.arange(SIZE),
      "max_probability": ordered[:, -1],
      "margin": ordered[:, -1] - ordered[:, -2],
      "low_entropy": (np.exp(told) * told).sum(axis=-1),
    }[order]
    drawn = sorted(left, key=lambda place, scores=scores: -scores[place])[:together]
    total += sum(told[place, x[place]] for place in drawn)
    visible, calls = tuple(sorted((*visible, *drawn))), calls + 1
  return total, calls


@functools.cache
def all_categories():
  """log p of both categories for each set of visible places: of K = 2 the rest of what the event holds."""
  found = {}
  for seen, own in log_predictions().items():
    other = np.log1p(-np.exp(own))
    zero = (EVENTS == 0).reshape(own.shape)
    found[seen] = np.stack([np.where(zero, own, other), np.where(zero, other, own)], axis=-1)
  return found


@pytest.mark.parametrize(
  ("order", "together"),
  [("left_to_right", 1), ("margin", 2)]
  + [pytest.param(*each, marks=pytest.mark.slow) for each in (("max_probability", 1), ("low_entropy", 3))],
)
def test_an_order_has_the_likelihood_of_its_path_and_crosses_no_block(order, together):
  model, params = made()
  options = SampleOptions(order=order, positions_per_call=together)

  @jax.jit
  def say(batch):
    told = {"state": {}, "options": options}
    return model.orders.log_prob(params, batch, **told), model.orders.num_calls(params, batch, **told)

  nats, calls = say(whole(EVENTS))
  for row, x in enumerate(EVENTS):
    each = [
      path({seen: found[row, block] for seen, found in all_categories().items()}, own, order, together)
      for block, own in enumerate(x.reshape(-1, SIZE))
    ]
    np.testing.assert_allclose(nats[row], sum(total for total, _ in each), atol=2e-5)
    assert calls[row] == sum(number for _, number in each) == LENGTH // SIZE * -(-SIZE // together)
  np.testing.assert_allclose(np.exp(np.float64(nats)).sum(), 1.0, atol=1e-5)


@pytest.mark.parametrize(
  "law",
  [
    {"order": "margin", "positions_per_call": 2, "temperature": 0.7},
    pytest.param({"order": "entropy_budget", "entropy_budget": 0.4}, marks=pytest.mark.slow),
    pytest.param({"order": "left_to_right", "top_k": 1}, marks=pytest.mark.slow),
  ],
  ids=str,
)
def test_samples_of_an_order_follow_its_likelihood(law):
  (model, params), options, number = made(), SampleOptions(**law), 4000
  p = np.exp(
    np.float64(jax.jit(functools.partial(model.orders.log_prob, params, state={}, options=options))(whole(EVENTS)))
  )
  np.testing.assert_allclose(p.sum(), 1.0, atol=1e-5)
  counts = np.bincount(drawn(options, number) @ K ** np.arange(LENGTH)[::-1], minlength=len(EVENTS))
  few = p * number < 5
  assert counts[p == 0].sum() == 0
  counts, expected = (np.append(each[~few], each[few].sum() + 1e-9) for each in (counts, p * number))
  assert scipy.stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-4


def drawn(options, number):
  model, params = made()
  return np.asarray(jax.jit(lambda keys: model.sample(params, keys, state={}, options=options).x)(keys_up_to(number)))


def test_the_order_of_the_model_itself_has_a_name():
  np.testing.assert_array_equal(drawn(SampleOptions(), 50), drawn(SampleOptions(order="first_hitting"), 50))


def test_read_from_left_to_right_it_is_that_order():
  """Read on many rows of which positions are missing, anything being observed there."""
  model, params = made()
  valid = np.repeat(np.stack([np.ones(LENGTH, bool), *PARTLY]), len(EVENTS), axis=0)
  x = np.tile(EVENTS, (3, 1))

  @jax.jit
  def read(x, valid):
    def step(carry, position):
      log_p, carry = model.sequential.log_probs(params, carry, position)
      own = jnp.take_along_axis(log_p, x[:, position][:, None], axis=1)[:, 0]
      return model.sequential.observe(carry, position, x[:, position]), jnp.where(valid[:, position], own, 0.0)

    start = model.sequential.start(params, valid, state={})
    return jax.lax.scan(step, start, jnp.arange(LENGTH))[1].sum(axis=0)

  options = SampleOptions(order="left_to_right")
  order = jax.jit(functools.partial(model.orders.log_prob, params, state={}, options=options))
  expected = order(whole(x)._replace(valid=valid))
  np.testing.assert_allclose(read(x, valid), expected, atol=2e-5)
  np.testing.assert_allclose(read(np.where(valid, x, 1 - x), valid), expected, atol=2e-5)
  assert np.abs(np.float64(expected)[: len(EVENTS)] - log_prob()(whole(EVENTS))).max() > 0.05  # and no other law


def test_a_beam_that_holds_all_beginnings_has_the_sum_of_the_order_from_left_to_right():
  (model, params), error, seen = made(), 0.1, EVENTS[[3, 44]]
  options = SampleOptions(order="left_to_right")
  nats = jax.jit(functools.partial(model.orders.log_prob, params, state={}, options=options))(whole(EVENTS))
  wrong = (seen[:, None] != EVENTS[None]).sum(axis=2)
  joint = np.exp(np.float64(nats))[None] * error**wrong * (1 - error) ** (LENGTH - wrong)
  found = jax.jit(lambda seen: channel.meant(model, params, {}, seen, error, width=len(EVENTS)))(whole(seen))
  np.testing.assert_allclose(found.log_seen, np.log(joint.sum(axis=1)), atol=2e-5)
  np.testing.assert_array_equal(found.x, EVENTS[joint.argmax(axis=1)])


def test_a_prefix_that_ends_with_a_block_is_continued_by_the_models_own_law():
  model, params = made()
  assert model.infill.prefix_only
  assert not model.infill.exact
  assert "one of the blocks of 3 positions" in model.infill.explanation
  x, number = np.array([1, 0, 1, 0, 0, 0], np.int32), 4000
  fill = jax.jit(lambda x, seen, keys: model.infill.draw(params, x, seen, keys, state={}, options=SampleOptions()).x)
  told = np.broadcast_to(x, (number, LENGTH)), np.broadcast_to(np.arange(LENGTH) < SIZE, (number, LENGTH))
  found = np.asarray(fill(*told, keys_up_to(number)))
  np.testing.assert_array_equal(found[:, :SIZE], told[0][:, :SIZE])
  p = np.exp(np.float64(log_prob()(whole(EVENTS)))).reshape(K**SIZE, K**SIZE)[0b101]
  counts = np.bincount(found[:, SIZE:] @ [4, 2, 1], minlength=K**SIZE)
  assert scipy.stats.chisquare(counts, p / p.sum() * number).pvalue > 1e-4
  within = np.broadcast_to(np.arange(LENGTH) < SIZE + 1, (number, LENGTH))
  np.testing.assert_array_equal(
    np.asarray(fill(told[0], within, keys_up_to(number)))[:, : SIZE + 1], told[0][:, : SIZE + 1]
  )


@pytest.mark.parametrize(
  ("event", "options", "message"),
  [
    (EVENT, {"block_length": 4}, "block_length is 4; it must divide the 6 positions .*: choose one of 1, 2, 3, 6$"),
    (EVENT, {"block_length": 0}, "block_length is 0"),
    (EventSpec((2, 3), K), {"block_length": 2}, r"is of sequences, not of events of shape \(2, 3\)"),
    (EventSpec((2,), 3, sizes=(2, 3)), {"block_length": 2}, "a block diffusion model has the same categories"),
  ],
)
def test_events_that_cannot_be_cut_are_refused_in_a_line(event, options, message):
  with pytest.raises(InputError, match=message):
    MODELS["block_diffusion"].make(event=event, network=NETWORK, **options)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"num_steps": 3}, "num_steps does not apply"),
    ({"num_frames": 1}, "at least 2"),
    ({"order": "entropy_budget", "num_frames": 3}, r"is not known: a chain \(num_frames\) does not apply"),
    ({"correction": 0.1}, "correction does not apply"),
    ({"guidance_interval": (0.1, 0.5)}, "guidance_interval does not apply"),
    ({"positions_per_call": 2}, "without an order: positions_per_call does not apply"),
    ({"order": "blocks", "blocks": (3, 3)}, "this model has no order 'blocks'; it has: left_to_right"),
    ({"order": "margin", "positions_per_call": 4}, "this model draws 1 to 3 together"),
    ({"order": "first_hitting", "positions_per_call": 2}, "draws one position after the other"),
    ({"top_k": 9}, "top_k is 9"),
  ],
  ids=str,
)
def test_options_that_are_of_other_samplers_are_refused(options, message):
  model, params = made()
  with pytest.raises(InputError, match=message):
    jax.eval_shape(lambda keys: model.sample(params, keys, state={}, options=SampleOptions(**options)), keys_up_to(2))


def test_what_is_long_has_no_exact_likelihood_and_context_is_refused():
  model, params = made(7, EventSpec((7,), K))
  assert model.log_prob is None
  assert model.log_weight is not None
  batch = whole(EVENTS)._replace(scored=np.ones(EVENTS.shape, bool))
  with pytest.raises(InputError, match="a block diffusion model scores whole examples"):
    jax.eval_shape(functools.partial(made()[0].log_prob, params, state={}), batch)
