"""Orders of unmasking: the likelihood of each is that of its sampler, by enumeration against NumPy in float64."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from catgen.batches import batch_of
from catgen.interfaces import InputError, SampleOptions
from catgen.models.diffusion.sampling import make_infill, sample
from catgen.models.diffusion.sequential import make_sequential
from catgen.models.diffusion.unmasking import log_prob, make_orders, num_calls, time_of, uncovered
from catgen.models.rules import RULES
from tests.contracts import exact
from tests.models.stubs import keys_up_to, neighbor, spec_of, table

K, D = 3, 3
EVENTS = exact.events(K, D)
TABLE = np.random.default_rng(5).normal(size=(D, K + 1, K + 1, K)).astype(np.float32)
VALID = np.array([True, False, True])


def others(params, x_t, time):
  """Reads, at each of three positions, the states of the two others, more surely at later times."""
  after, before = jnp.roll(x_t, -1, axis=1), jnp.roll(x_t, 1, axis=1)
  return params[jnp.arange(D)[None], after, before] * (1 + time)[:, None, None]


SPECS = {num_steps: spec_of(others, shape=(D,), process="absorbing", num_steps=num_steps) for num_steps in (0, 4)}
CASES = {
  "left to right, two at a time": {"order": "left_to_right", "positions_per_call": 2},
  "surest first": {"order": "max_probability", "top_k": 2},
  "margin, two at a time, colder": {"order": "margin", "positions_per_call": 2, "temperature": 0.6, "forbid": (1,)},
  "lowest entropy": {"order": "low_entropy", "top_p": 0.8},
  "budget": {"order": "entropy_budget", "entropy_budget": 0.4},
  "blocks, colder": {"order": "blocks", "blocks": (1, 2), "temperature": 0.6},
}
NEEDS = {"entropy_budget": {"entropy_budget": 0.5}, "blocks": {"blocks": (1, 2)}}


def restricted(p, temperature=1.0, top_k=K, top_p=1.0, forbid=()):
  """`categorical.restrict`, of one position."""
  p = np.where(np.isin(np.arange(K), forbid), 0, p) ** (1 / temperature)
  order = np.argsort(-p, kind="stable")
  p = np.where(np.argsort(order) < top_k, p, 0) / p.sum()
  before = np.cumsum(p[order] / p.sum()) - p[order] / p.sum()
  p = np.where(before[np.argsort(order)] < top_p, p, 0)
  return p / p.sum()


def chosen(p, masked, total, order, positions_per_call=1, entropy_budget=0.0, blocks=()):
  """The positions that a rule chooses, of probabilities of all positions."""
  entropy = -(p * np.log(p)).sum(-1)
  ordered = np.sort(p, axis=-1)
  scores = {
    "left_to_right": -np.arange(D),
    "max_probability": ordered[:, -1],
    "margin": ordered[:, -1] - ordered[:, -2],
    "low_entropy": -entropy,
    "entropy_budget": -entropy,
    "blocks": -entropy,
  }
  ranked = sorted(np.flatnonzero(masked), key=lambda d: -scores[order][d])
  if order == "blocks":
    left = [round((1 - drawn / sum(blocks)) * total) for drawn in itertools.accumulate(blocks)]
    return ranked[: len(ranked) - next(after for after in left if after < len(ranked))]
  if order != "entropy_budget":
    return ranked[:positions_per_call]
  sets = [ranked[:n] for n in range(1, len(ranked) + 1)]
  return max((s for s in sets if entropy[s].sum() - entropy[s].max() <= entropy_budget), key=len)


def path(x, valid, num_steps, order, positions_per_call=1, entropy_budget=0.0, blocks=(), **restrictions):
  """p(x), and how many calls it took, from the definition."""
  x_t, masked, p, calls = np.full(D, K), valid.copy(), 1.0, 0
  while masked.any():
    share = masked.sum() / valid.sum()
    steps = np.arange(1, num_steps + 1)
    time = share if num_steps == 0 else (steps[np.argmin(np.abs(steps / num_steps - share))] - 1) / num_steps
    logits = np.array([TABLE[d, x_t[(d + 1) % D], x_t[d - 1]] for d in range(D)], np.float64) * (1 + time)
    predicted = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    for d in chosen(predicted, masked, valid.sum(), order, positions_per_call, entropy_budget, blocks):
      p *= restricted(predicted[d], **restrictions)[x[d]]
      x_t[d], masked[d] = x[d], False
    calls += 1
  return p, calls


@functools.cache
def scored(num_steps):
  """p(x) of all events by every case, [cases, whole or padded, events], and the calls of the budget: one program."""

  def all_of(params, batch):
    spec, laws = SPECS[num_steps], [SampleOptions(**options) for options in CASES.values()]
    nats = [log_prob(spec, params, batch, state={}, options=law) for law in laws]
    return nats, num_calls(spec, params, batch, state={}, options=laws[list(CASES).index("budget")])

  valid = np.repeat([np.ones(D, bool), VALID], len(EVENTS), axis=0)
  nats, calls = jax.jit(all_of)(TABLE, batch_of(np.concatenate([EVENTS, EVENTS]), valid))
  probs = np.exp(np.asarray(nats, np.float64)).reshape(len(CASES), 2, len(EVENTS))
  return probs, np.reshape(calls, (2, len(EVENTS)))


@pytest.mark.parametrize("num_steps", [0, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_probabilities_are_those_of_the_path_and_sum_to_one(name, num_steps):
  found, shortened = scored(num_steps)[0][list(CASES).index(name)]
  for valid, p in ((np.ones(D, bool), found), (VALID, shortened)):
    expected = [path(x, valid, num_steps, **CASES[name])[0] for x in EVENTS]
    np.testing.assert_allclose(p, expected, rtol=2e-5, atol=1e-9)
  assert found.sum() == pytest.approx(1, abs=1e-6)
  assert shortened.sum() == pytest.approx(K, abs=1e-5)  # what stands where nothing is changes nothing
  assert found.std() > 0.005


def test_how_many_calls_a_budget_takes_depends_on_what_is_drawn():
  for valid, calls in zip((np.ones(D, bool), VALID), scored(0)[1], strict=True):
    np.testing.assert_array_equal(calls, [path(x, valid, 0, **CASES["budget"])[1] for x in EVENTS])
  assert scored(0)[1][0].std() > 0


@pytest.mark.parametrize(
  "order", [pytest.param(order, marks=[] if order == "margin" else [pytest.mark.slow]) for order in RULES]
)
def test_without_temperature_the_one_event_that_is_drawn_has_all_probability(order):
  options = SampleOptions(order=order, temperature=0.0, **NEEDS.get(order, {}))

  def drawn_and_scored(params, keys):
    drawn = sample(SPECS[0], params, keys, state={}, options=options).x
    return drawn, log_prob(SPECS[0], params, batch_of(drawn, drawn >= 0), state={}, options=options)

  drawn, nats = jax.jit(drawn_and_scored)(TABLE, keys_up_to(3))
  assert len(np.unique(drawn, axis=0)) == 1
  np.testing.assert_array_equal(nats, 0.0)


DRAWS = 6000


def counts_of(spec, params, num_positions, **options):
  draw = jax.jit(lambda p, k: sample(spec, p, k, state={}, options=SampleOptions(**options)).x)
  x = np.asarray(draw(params, keys_up_to(DRAWS, seed=3)))
  return np.bincount(x @ K ** np.arange(num_positions)[::-1], minlength=K**num_positions)


def test_samples_of_an_order_follow_it():
  name = "margin, two at a time, colder"
  p = scored(0)[0][list(CASES).index(name), 0]
  counts = counts_of(SPECS[0], TABLE, D, **CASES[name])
  assert counts[p < 1e-9].sum() == 0
  possible = p > 1e-9
  assert scipy.stats.chisquare(counts[possible], p[possible] / p[possible].sum() * DRAWS).pvalue > 1e-4


def first_hitting_law(spec, log_x0, num_positions, num_uniforms):
  """p(x) of the order "first_hitting" as a sum over all of its draws; uniform numbers by midpoints.

  log_x0: (states, times) -> predictions.
  """
  uniforms = (np.arange(num_uniforms) + 0.5) / num_uniforms
  x = np.full((1, num_positions), K)
  lost, p = np.ones(1, np.float32), np.ones(1)
  for left in range(num_positions, 0, -1):
    draws = np.array(list(itertools.product(range(len(x)), range(left), range(num_uniforms))))
    rows, ranks = draws[:, 0], draws[:, 1].astype(np.int32)
    args = x[rows] == K, lost[rows], uniforms[draws[:, 2]].astype(np.float32), ranks
    here, lost = (np.asarray(each) for each in jax.jit(uncovered)(*args))
    assert np.all(here.sum(axis=1) == 1)
    time = np.asarray(jax.jit(functools.partial(time_of, spec))(lost))
    predicted = np.exp(log_x0(x[rows], time))[here]
    x = np.where(here[:, None], np.arange(K)[:, None], x[rows][:, None]).reshape(-1, num_positions)
    p = ((p[rows] / left / num_uniforms)[:, None] * predicted).reshape(-1)
    lost = np.repeat(lost, K)
  return np.bincount(x @ K ** np.arange(num_positions)[::-1], p, K**num_positions)


def log_softmax(logits):
  return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def test_first_hitting_is_the_mean_over_all_orders():
  """Of a network that is told no time: all that is drawn besides categories is the order."""
  logits = np.asarray(TABLE, np.float64)

  def log_x0(x, time):
    return log_softmax(logits[np.arange(D)[None], np.roll(x, -1, 1), np.roll(x, 1, 1)])

  expected = np.zeros(len(EVENTS))
  for order in itertools.permutations(range(D)):
    x_t, nats = np.full(EVENTS.shape, K), np.zeros(len(EVENTS))
    for d in order:
      nats += log_x0(x_t, None)[np.arange(len(EVENTS)), d, EVENTS[:, d]]
      x_t[:, d] = EVENTS[:, d]
    expected += np.exp(nats) / 6
  np.testing.assert_allclose(first_hitting_law(SPECS[0], log_x0, D, 1), expected, rtol=1e-6)


def test_the_times_of_first_hitting_are_independent_and_uniform():
  """A clock: what is drawn says whether it was drawn before the middle, with the schedule that loses t by time t."""

  def clock(params, x_t, told):
    early = jnp.broadcast_to((told.time > 0.5)[:, None], x_t.shape)
    return jnp.where(jax.nn.one_hot(early.astype(int), K, dtype=bool), 0.0, -jnp.inf)

  counts = counts_of(SPECS[0]._replace(network=clock), None, D, order="first_hitting")
  possible = (EVENTS < 2).all(axis=1)
  assert counts[~possible].sum() == 0
  assert scipy.stats.chisquare(counts[possible]).pvalue > 1e-4


def test_first_hitting_is_the_process_in_continuous_time():
  spec = spec_of(neighbor, process="absorbing", schedule="cosine", num_steps=0)
  params, kept = table(K + 1, K), spec.schedule.lost
  logits, grid = np.asarray(params, np.float64), np.linspace(0, 1, 10_001)

  def log_x0(x, time):
    return log_softmax(logits[x[:, ::-1]] * (1 + np.asarray(time, np.float64)).reshape(-1, 1, 1))

  times = np.interp((np.arange(300) + 0.5) / 300, kept(grid, np), grid)
  p = exact.masked_in_continuous_time(K, times, lambda states, time: log_x0(states, np.full(len(states), time)))
  np.testing.assert_allclose(first_hitting_law(spec, log_x0, 2, 40), p, rtol=2e-3)
  told_nothing = exact.masked_in_continuous_time(K, times, lambda s, _: log_x0(s, np.zeros(len(s))))
  assert np.abs(told_nothing / p - 1).max() > 0.02  # the claim is about times too


@pytest.mark.parametrize("order", [pytest.param("margin", marks=pytest.mark.slow), "first_hitting"])
def test_observed_positions_stay_and_the_chain_shows_each_call(order):
  spec = spec_of(others, shape=(D,), process="absorbing", num_steps=0)
  options, x = SampleOptions(order=order), np.random.default_rng(0).integers(0, K, (4, D), np.int32)
  observed = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 0]], bool)
  keys, draws = keys_up_to(4), make_infill(spec).draw

  def both(params, keys, x, observed):
    drawn = sample(spec, params, keys, state={}, options=options._replace(num_frames=D + 1))
    return draws(params, x, observed, keys, state={}, options=options).x, drawn

  filled, drawn = jax.device_get(jax.jit(both)(TABLE, keys, x, observed))
  np.testing.assert_array_equal(filled[observed], x[observed])
  np.testing.assert_array_equal(filled[3], drawn.x[3])
  assert np.all((filled >= 0) & (filled < K))
  np.testing.assert_array_equal((np.asarray(drawn.chain) == K).sum(-1), np.arange(D, -1, -1)[:, None] * np.ones(4))
  np.testing.assert_array_equal(drawn.chain[-1], drawn.x)


@pytest.mark.parametrize(
  "valid", [pytest.param(np.ones(D, bool), marks=pytest.mark.slow), VALID], ids=["whole", "padded"]
)
def test_one_position_after_another_is_the_order_from_left_to_right(valid):
  spec, valid = SPECS[0], np.broadcast_to(valid, EVENTS.shape)
  reading = make_sequential(spec)

  @jax.jit
  def log_p(params, batch):
    carry, total = reading.start(params, batch.valid, state={}), 0.0
    for position in range(D):
      log_probs, carry = reading.log_probs(params, carry, position)
      carry = reading.observe(carry, position, batch.x[:, position])
      own = jnp.take_along_axis(log_probs, batch.x[:, position, None], axis=1)[:, 0]
      total += jnp.where(batch.valid[:, position], own, 0.0)
    return total

  found = np.exp(log_p(TABLE, batch_of(EVENTS, valid)))
  expected = [path(x, valid[0], 0, order="left_to_right")[0] for x in EVENTS]
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_positions_that_are_alike_are_taken_from_the_left():
  """Also where rounding tells them apart, as between a program that draws and one that scores."""
  noise = np.float32(1e-6 * np.random.default_rng(0).normal(size=(2, 5, 4)))
  masked = np.array([[0, 1, 1, 0, 1], [1, 0, 0, 0, 1]], bool)

  def all_of(noise, masked):
    log_p = jax.nn.log_softmax(noise)
    counted = {name: SampleOptions(positions_per_call=1 if name == "entropy_budget" else 2) for name in RULES}
    counted["blocks"] = SampleOptions(blocks=(2, 1, 2))
    total = jnp.full(len(masked), masked.shape[1])
    return {name: rule(log_p, masked, total, counted[name]) for name, rule in RULES.items()}

  together = {**{name: [[2], [2]] for name in RULES}, "entropy_budget": [[1], [1]], "blocks": [[1], [2]]}
  for name, found in jax.jit(all_of)(noise, masked).items():
    np.testing.assert_array_equal(found, masked & (np.cumsum(masked, axis=1) <= together[name]), name)


def test_a_part_that_is_known_or_not_there_begins_where_it_stands_among_the_blocks():
  """Of 8 positions in blocks of 1, 3, 4; of 6 that there are, in three quarters of these; of 8 of which 5 are known."""
  sizes, cases = SampleOptions(blocks=(1, 3, 4)), ((8, 8, 1), (8, 7, 3), (8, 4, 4), (6, 6, 1), (6, 5, 2), (6, 3, 3))
  total, left, expected = np.array([*cases, (8, 3, 3), (8, 5, 1)], np.int32).T
  chosen = jax.jit(lambda *told: RULES["blocks"](*told, sizes))
  found = chosen(np.zeros((8, 8, 2), np.float32), np.arange(8) < left[:, None], total)
  np.testing.assert_array_equal(found.sum(axis=1), expected)


def test_the_loss_of_a_masked_position_by_the_number_of_masks():
  """Its mean over random places is that over all subsets; what is not there is no mask."""
  batch, counts = batch_of(np.repeat(EVENTS[[5, 17]], 2000, axis=0)), np.array([1, 2, 3], np.int32)
  losses = jax.jit(functools.partial(make_orders(SPECS[0]).losses, state={}))
  found = np.asarray(losses(TABLE, batch, keys_up_to(4000), counts=counts), np.float64).reshape(2, 2000, 3)
  for x, draws in zip(EVENTS[[5, 17]], found, strict=True):
    for number in counts:
      costs = []
      for places in itertools.combinations(range(D), number):
        x_t = np.array([K if d in places else x[d] for d in range(D)])
        logits = np.array([TABLE[d, x_t[(d + 1) % D], x_t[d - 1]] for d in range(D)], np.float64) * (1 + number / D)
        costs.append(-np.mean([log_softmax(logits[d])[x[d]] for d in places]))
      drawn = draws[:, number - 1]
      assert abs(drawn.mean() - np.mean(costs)) < 5 * drawn.std() / np.sqrt(2000) + 1e-5
  padded = losses(
    TABLE, batch_of(EVENTS, np.broadcast_to([True, False, False], EVENTS.shape)), keys_up_to(27), counts=counts
  )
  np.testing.assert_allclose(padded, np.broadcast_to(padded[:, :1], padded.shape), rtol=1e-6)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"order": "alphabetical"}, "no order 'alphabetical'; it has: left_to_right, "),
    ({"order": "margin", "positions_per_call": 4}, "positions_per_call is 4; this model draws 1 to 3 together"),
    ({"order": "margin", "positions_per_call": 0}, "positions_per_call is 0"),
    ({"order": "margin", "entropy_budget": 1.0}, "counts positions, not nats: entropy_budget does not apply"),
    ({"order": "entropy_budget", "positions_per_call": 2}, "counts nats, not positions"),
    ({"order": "entropy_budget", "entropy_budget": -1.0}, "entropy_budget is -1.0"),
    ({"order": "entropy_budget", "num_frames": 3}, r"is not known: a chain \(num_frames\) does not apply"),
    ({"order": "first_hitting", "positions_per_call": 2}, "one position after the other"),
    ({"order": "first_hitting", "blocks": (1, 2)}, "one position after the other"),
    ({"order": "blocks"}, "blocks are not given; give numbers from 1 on that add up to the 3 positions of an example"),
    ({"order": "blocks", "blocks": (2, 2)}, "blocks are 2, 2; give numbers"),
    ({"order": "blocks", "blocks": (3, 0)}, "blocks are 3, 0; give numbers"),
    ({"order": "blocks", "blocks": (1, 2), "positions_per_call": 2}, "counts the positions of each call by itself"),
    ({"order": "margin", "blocks": (1, 2)}, "blocks does not apply"),
    ({"order": "margin", "num_steps": 3}, "num_steps does not apply"),
    ({"order": "margin", "top_k": 9}, "top_k is 9"),
    ({"positions_per_call": 2}, "without an order: positions_per_call does not apply"),
  ],
)
def test_what_does_not_go_together_is_refused(options, message):
  with pytest.raises(InputError, match=message):
    sample(SPECS[0], TABLE, keys_up_to(2), state={}, options=SampleOptions(**options))


def test_orders_of_other_models_are_refused():
  with pytest.raises(InputError, match="continuous time, and this model has T = 4 steps"):
    sample(SPECS[4], TABLE, keys_up_to(2), state={}, options=SampleOptions(order="first_hitting"))
  assert (make_orders(SPECS[4]).random, make_orders(SPECS[0]).random) == ((), ("first_hitting",))
  with pytest.raises(InputError, match="no order 'first_hitting'"):  # p(x) is a mean over orders
    log_prob(SPECS[0], TABLE, batch_of(EVENTS), state={}, options=SampleOptions(order="first_hitting"))
  uniform, x = spec_of(neighbor), jax.device_put(np.zeros((2, 2), np.int32))
  with pytest.raises(InputError, match="only masked models draw a position once"):
    sample(uniform, table(3, 3), keys_up_to(2), state={}, options=SampleOptions(order="margin"))
  with pytest.raises(InputError, match="only masked models draw a position once"):
    make_infill(uniform).draw(None, x, x != 0, keys_up_to(2), state={}, options=SampleOptions(order="margin"))
