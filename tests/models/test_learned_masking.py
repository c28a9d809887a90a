"""Learned rates of masking against enumeration: bounds, their gradient in the rates, weights, samples, completions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from catgen.batches import batch_of
from catgen.interfaces import EventSpec, InputError, SampleOptions
from catgen.models import MODELS
from catgen.models.diffusion import learned, learned_bound, learned_weights
from catgen.models.diffusion.bound import continuous_bound
from catgen.models.diffusion.learned_bound import Times
from catgen.models.diffusion.sampling import sample
from catgen.networks import TRUNKS
from catgen.networks.conditions import Conditions
from catgen.processes.masking_rates import Rates
from catgen.training.optimizer import kernel_mask, muon_dimensions
from tests.contracts import exact
from tests.models.stubs import keys_of, keys_up_to, spec_of, table, whole
from tests.parameters import filled

K, D = 2, 2
EVENTS, STATES = exact.events(K, D), exact.events(K + 1, D)
TABLE = table(K + 1, K, seed=3)
BY_CLASS, BY_POSITION = np.array([0.6, 1.9]), np.array([0.8, 1.5])
RATES = {"class": (BY_CLASS, np.ones(D)), "position": (np.ones(K), BY_POSITION)}
COMPILED = ["class", pytest.param("position", marks=pytest.mark.slow)]  # by the same programs
# Quadrature over t = v^4, Gauss-Legendre in v: what is integrated may rise as t to a power below one.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
V = (_NODES + 1) / 2
TIMES, OF_TIMES = V**4, _WEIGHTS / 2 * 4 * V**3


def rated(by_class, by_position):
  return Rates(jnp.asarray(by_class, jnp.float32), jnp.asarray(by_position, jnp.float32))


def timed(params, x_t, time):
  """Reads the other position, more surely at later times."""
  return params[x_t[:, ::-1]] * (1 + time)[:, None, None]


def timeless(params, x_t, time):
  return params[x_t[:, ::-1]]


def log_softmax(logits):
  return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def predicted(time, told=True):
  """log x_hat of every state [states, positions, classes], in float64."""
  return log_softmax(np.float64(TABLE)[STATES[:, ::-1]] * (1 + told * time))


def perfect(data, by_class):
  """Returns time -> log P(x_d = k | x_t) of all states, by Bayes: that a position is masked says something."""

  def predict(time):
    log_p = np.full((*STATES.shape, K), -np.inf)
    for event, p in zip(EVENTS, data, strict=True):
      fits = np.all((STATES == K) | (event == STATES), axis=1)
      log_w = np.log(p) + np.where(STATES == K, by_class[event] * np.log(time), 0.0).sum(1)
      for d in range(D):
        log_p[fits, d, event[d]] = np.logaddexp(log_p[fits, d, event[d]], log_w[fits])
    return log_softmax(log_p)

  return predict


def exact_bound(rates, predict):
  """The expected bound of every event, from the definition; rates [positions, classes]."""
  nats = np.zeros(len(EVENTS))
  for time, weight in zip(TIMES, OF_TIMES, strict=True):
    log_x0 = predict(time)
    for row, x in enumerate(EVENTS):
      own = rates[np.arange(D), x]
      for state, log_p in zip(STATES, log_x0, strict=True):
        if np.all((state == K) | (state == x)):
          q = np.where(state == K, time**own, 1 - time**own).prod()
          of_x = -own * log_p[np.arange(D), x] - own + (rates * np.exp(log_p)).sum(1)
          nats[row] -= weight * q * np.where(state == K, of_x, 0.0).sum() / time
  return nats


def full(by_class, by_position):
  return by_position[:, None] * by_class[None]


@functools.cache
def truth(name, steps=2000):
  """p(x) of the model with the network `timed`, by a fine chain."""
  grid = np.arange(steps + 1) / steps
  return exact.rated(full(*RATES[name]), grid, lambda _, t: predicted((t - 0.5) / steps))


def spec(logits=timed, num_classes=K, shape=(D,)):
  return spec_of(logits, num_classes=num_classes, shape=shape, process="absorbing", num_steps=0)


@pytest.mark.parametrize("size", [0.3, *(pytest.param(size, marks=pytest.mark.slow) for size in (1.0, 4.0))])
def test_rates_of_one_size_give_the_draws_of_the_linear_schedule(size):
  """With a network that is told no time; told, it is told another clock, u^(1 / w)."""
  random, one = np.random.default_rng(0), spec(timeless, 3, (4,))
  params, x = table(4, 3), random.integers(0, 3, (64, 4))
  valid = np.arange(4) < np.arange(64)[:, None] % 5  # some have no position at all
  batch = whole(x)._replace(valid=valid)

  @jax.jit
  def draw(params, rates, batch, keys, strata):
    plain = continuous_bound(one, "stratified", params, batch, keys, state={}, train=False, strata=strata)
    return plain.nats, *(
      learned_bound.bound(one, params, each, batch, keys, train=False, strata=strata).nats for each in rates
    )

  rates = rated(np.full(3, size), np.ones(())), rated(np.ones(3), np.full(4, size))
  strata = np.float32(random.random(64))
  plain, *ours = draw(params, rates, batch, keys_of(batch), strata)
  assert (np.asarray(plain) < 0).sum() > 30
  for each in ours:
    np.testing.assert_allclose(each, plain, rtol=2e-5, atol=1e-6)


@functools.cache
def enumerated(name):
  """Returns the exact mean bound of each event, its gradients in the rates by leave-one-out and plainly, and losses.

  All pairs of states at all nodes of the quadrature are rows of one batch, weighed by their probabilities.
  """
  by_class, by_position = RATES[name]
  both = [(x, first, second) for x in EVENTS for first in STATES for second in STATES]
  both = [each for each in both if all(np.all((z == K) | (z == each[0])) for z in each[1:])]
  x, first, second = (np.repeat(np.array(part), len(TIMES), axis=0) for part in zip(*both, strict=True))
  times, of_times = (np.tile(each, len(both)) for each in (TIMES, OF_TIMES))
  own, t = full(by_class, by_position)[np.arange(D), x], times[:, None]
  q1, q2 = (np.where(z == K, t**own, 1 - t**own).prod(1) for z in (first, second))
  weight = np.float32(of_times * q1 * q2)
  of_event = np.float32((x @ [K, 1])[:, None] == np.arange(len(EVENTS))).T

  def loss(rates, params, weight, number, batch, at, *states):
    losses = [learned_bound.loss(spec(), params, rates, batch, z, at) for z in states]
    log_qs = [learned_bound.log_q(rates, batch, z, at) for z in states]
    trained = learned_bound.leave_one_out(losses[0], log_qs[0], losses[1], log_qs[1])
    plain = (losses[0] + losses[1]) / 2
    return (weight * jnp.where(number < len(EVENTS), trained, plain)).sum(), (weight * plain).sum()

  gradients = jax.jit(
    jax.vmap(jax.value_and_grad(loss, has_aux=True), in_axes=(None, None, 0, 0, None, None, None, None))
  )
  numbers, at = np.arange(2 * len(EVENTS), dtype=np.int32), Times(np.float32(np.log(times)), np.float32(1 / times))
  rows = np.tile(weight * of_event, (2, 1)), numbers, whole(x), at, np.int32(first), np.int32(second)
  (_, means), slopes = gradients(rated(by_class, by_position), TABLE, *rows)
  slopes = np.asarray(getattr(slopes, f"by_{name}"), np.float64)
  return -np.asarray(means, np.float64)[: len(EVENTS)], -slopes[: len(EVENTS)], -slopes[len(EVENTS) :]


@pytest.mark.parametrize("name", COMPILED)
def test_the_loss_has_the_bound_as_its_mean_and_lies_below_log_p(name):
  nats = exact_bound(full(*RATES[name]), predicted)
  np.testing.assert_allclose(enumerated(name)[0], nats, rtol=2e-5)
  assert np.all(np.log(truth(name)) - nats > 1e-4)


@pytest.mark.parametrize("name", COMPILED)
def test_leave_one_out_is_the_slope_of_the_bound_and_plain_autodiff_is_not(name):
  _, slopes, plain = enumerated(name)
  by_class, by_position = RATES[name]
  learns_class, h = name == "class", 1e-4
  for number in range(K if learns_class else D):
    change = h * np.eye(2)[number]
    up, down = (
      exact_bound(full(by_class + s * change * learns_class, by_position + s * change * (not learns_class)), predicted)
      for s in (1, -1)
    )
    np.testing.assert_allclose(slopes[:, number], (up - down) / (2 * h), rtol=1e-3, atol=2e-4)
  data = truth(name)
  assert np.all(data @ plain < -0.1)  # down with all rates
  assert np.abs(slopes - plain).max() > 0.3


def test_all_rates_times_one_number_are_the_same_bound_where_no_time_is_told():
  def predict(time):
    return predicted(time, told=False)

  one, other = (exact_bound(full(c * BY_CLASS, BY_POSITION), predict) for c in (1.0, 1.7))
  np.testing.assert_allclose(one, other, rtol=1e-6)
  assert np.abs(one - exact_bound(full(BY_CLASS**2, BY_POSITION), predict)).max() > 1e-3


def test_a_perfect_prediction_loses_nothing_whatever_the_rates_of_categories_are():
  """Since a chain that is turned back exactly has no divergence: the mean bound is minus the entropy."""
  data = np.array([0.5, 0.05, 0.15, 0.3])
  nats = exact_bound(full(BY_CLASS, np.ones(D)), perfect(data, BY_CLASS))
  np.testing.assert_allclose(data @ nats, data @ np.log(data), rtol=1e-6)
  assert data @ exact_bound(full(BY_CLASS, np.ones(D)), perfect(data, np.ones(K))) < data @ np.log(data) - 1e-3


@pytest.mark.parametrize("name", COMPILED)
def test_weights_average_to_p_and_samples_follow_the_chain(name):
  rates, options, steps, number = rated(*RATES[name]), SampleOptions(num_steps=3), 3, 1000
  batch = whole(np.repeat(EVENTS, number, axis=0))
  most = np.float32(2 * BY_CLASS.max() if name == "class" else 1.0)

  @jax.jit
  def draw(params, rates, batch, keys, most):
    return (
      learned_weights.log_weight(spec(), params, rates, most, batch, keys),
      sample(learned.clocked(spec(), rates)[0], params, keys, state={}, options=options).x,
    )

  log_w, x = draw(TABLE, rates, batch, keys_of(batch), most)
  weights = np.exp(np.asarray(log_w, np.float64)).reshape(len(EVENTS), number)
  np.testing.assert_array_less(np.abs(weights.mean(1) - truth(name)), 4.5 * weights.std(1) / np.sqrt(number) + 1e-4)
  assert weights.std(1).max() > 0.01
  grid = (np.arange(steps + 1) / steps) ** (1 / full(*RATES[name]).min())  # what is masked longest has even steps
  probs = exact.rated(full(*RATES[name]), grid, lambda _, t: predicted(grid[t]))
  counts = np.bincount(np.asarray(x) @ [K, 1], minlength=len(EVENTS))
  assert scipy.stats.chisquare(counts, probs * len(x)).pvalue > 1e-4


@pytest.mark.parametrize("name", RATES)
def test_the_law_of_samples_nears_p_as_steps_get_more(name):
  error = []
  for steps in (8, 32, 128, 512):
    grid = (np.arange(steps + 1) / steps) ** (1 / full(*RATES[name]).min())
    probs = exact.rated(full(*RATES[name]), grid, lambda _, t, grid=grid: predicted(grid[t]))
    error.append(np.abs(probs - truth(name)).max())
  error = np.array(error)
  assert np.all(error[1:] < error[:-1] / 2)
  assert error[-1] < 0.005


@pytest.mark.parametrize("name", RATES)
def test_another_clock_masks_as_much_and_tells_the_network_its_own_time(name):
  """By the time s of the sampler, a share s^own is masked; at t, which the network is told, t^rate."""

  def clock(params, x_t, time):
    return jnp.broadcast_to(time[:, None, None], (*x_t.shape, K))

  @jax.jit
  def told(rates, x, time):
    made, own = learned.clocked(spec(clock), rates)
    return made.network(None, x, Conditions(time=time))[:, 0, 0], own.of(x), rates.of(x)

  s = np.float32([0.0, 0.2, 0.7, 1.0])
  t, own, rates = (np.asarray(each) for each in told(rated(*RATES[name]), EVENTS, s))
  np.testing.assert_allclose(own.min(), 1.0, rtol=1e-6)
  np.testing.assert_allclose(s[:, None] ** own, t[:, None] ** rates, rtol=1e-5)


def with_rates(rates, num_classes, shape, logits=timed):
  """Returns a model of the family whose network is a function written here."""
  model = learned.learned_masking(EventSpec(shape, num_classes), network=TRUNKS["transformer"](), rates=rates)
  return model, functools.partial(learned._rated, spec(logits, num_classes, shape), rates == "class")


def test_completions_and_corrections_take_out_what_masks_say():
  """With a perfect network both are Bayes, although each prediction of it says that masks are no accident."""
  data, number = np.array([0.5, 0.05, 0.15, 0.3]), 4000
  joint = jnp.asarray(data.reshape(K, K), jnp.float32)

  def bayes(params, x_t, time):
    shown = jax.nn.one_hot(x_t, K + 1)
    hidden = time[:, None] ** BY_CLASS.astype(np.float32)[None]  # the probability of each category to be masked
    likelihood = shown[..., :K] + shown[..., K:] * hidden[:, None]
    log_p = jnp.stack([jnp.log(likelihood[:, 1] @ joint.T), jnp.log(likelihood[:, 0] @ joint)], axis=1)
    return log_p + jnp.log(hidden)[:, None]

  model, made = with_rates("class", K, (D,), bayes)
  params = {"rates": np.log(np.expm1(BY_CLASS)).astype(np.float32)}
  x = np.tile(np.array([[1, 0]], np.int32), (number, 1))
  observed = np.tile(np.array([[True, False]]), (number, 1))

  @jax.jit
  def both(params, x, observed, keys, events):
    completed = learned._infill(made, params, x, observed, keys, state={}, options=SampleOptions(num_steps=16))
    return completed.x, learned._denoise(made, params, events, jnp.ones(events.shape, bool), 0.1, state={})

  completed, denoised = both(params, x, observed, keys_up_to(number, seed=1), EVENTS)
  given = data[2:] / data[2:].sum()
  counts = np.bincount(np.asarray(completed)[:, 1], minlength=K)
  assert np.all(np.asarray(completed)[:, 0] == 1)
  assert scipy.stats.chisquare(counts, given * number).pvalue > 1e-4
  table_of = data.reshape(K, K)
  others = np.stack([table_of[:, EVENTS[:, 1]].T, table_of[EVENTS[:, 0]]], axis=1)
  np.testing.assert_allclose(np.exp(denoised.prediction), others / others.sum(-1, keepdims=True), rtol=1e-4)
  assert not model.infill.exact
  assert with_rates("position", K, (D,))[0].infill.exact


@pytest.mark.parametrize(("rates", "shape"), [("class", (3,)), ("position", (2, 4))])
def test_rates_are_parameters_that_no_decay_and_no_muon_reaches(rates, shape):
  model = learned.learned_masking(
    EventSpec((2, 4), 3), network=TRUNKS["unet"](widths=(8, 8), num_layers=1, num_heads=1, time_width=8), rates=rates
  )
  shapes, _ = jax.eval_shape(model.init, batch_of(np.zeros((1, 2, 4), np.int32)), jax.random.key(0))
  params = jax.device_put(filled(shapes))
  assert params["rates"].shape == shape
  assert kernel_mask(params)["rates"] is False
  assert muon_dimensions(params)["rates"] is None
  start = {"rates": jnp.full(shape, learned._ONE)}
  np.testing.assert_allclose(learned.masking_rates(start), 1.0, rtol=1e-6)


def test_other_rates_are_refused():
  with pytest.raises(InputError, match="rates is 'both'; choose one of class, position"):
    learned.learned_masking(EventSpec((2,), 3), network=TRUNKS["transformer"](), rates="both")


@functools.cache
def trained(dtype):
  """Returns bounds in training and outside, and slopes of the objective, of examples of 0, 1, 2 ... positions."""
  sizes = {"width": 16, "num_layers": 1, "num_heads": 2, "time_width": 8, "dtype": dtype}
  model = MODELS["learned_masking"].make(EventSpec((6,), 5), network=TRUNKS["transformer"](**sizes))
  batch = batch_of(np.random.default_rng(0).integers(0, 5, (8, 6)).astype(np.int32))
  batch, keys, strata = batch._replace(valid=np.arange(6) < np.arange(8)[:, None]), keys_up_to(8), np.full(8, 0.6)
  shapes, state = jax.eval_shape(model.init, batch, jax.random.key(0))
  assert state == {}

  def loss(params, batch, strata):
    both, one = (model.bound(params, batch, keys, state={}, train=train, strata=strata) for train in (True, False))
    return -both.objective.sum(), (both.nats, one.nats)

  slopes, nats = jax.jit(jax.grad(loss, has_aux=True))(filled(shapes), batch, np.float32(strata))
  return [np.asarray(each) for each in nats], slopes


def test_in_training_the_bound_is_the_mean_of_two_draws_of_which_one_is_that_of_an_evaluation():
  batch = whole(np.tile(EVENTS, (100, 1)))
  batch = batch._replace(valid=np.arange(D) < np.arange(400)[:, None])  # the first is not there, the second has one

  def both(rates, params, batch, keys, strata):
    made = [
      learned_bound.bound(spec(), params, rates, batch, keys, train=train, strata=strata) for train in (True, False)
    ]
    return made[0].objective.sum(), (made[0].nats, made[1].nats)

  told = rated(BY_CLASS, BY_POSITION), TABLE, batch, keys_of(batch), np.full(400, 0.6, np.float32)
  slopes, (pair, one) = jax.jit(jax.grad(both, has_aux=True))(*told)
  pair, one = np.asarray(pair), np.asarray(one)
  assert pair[0] == one[0] == 0.0
  assert (pair != one).sum() > 100
  other = 2 * pair - one
  assert np.all(np.abs(other[:, None] - one).min(1)[4:] < 1e-5)  # of so few states each is met by another example
  assert all(np.all(np.isfinite(leaf)) and np.all(leaf != 0) for leaf in slopes)


@pytest.mark.slow
def test_a_network_of_bfloat16_changes_little():
  (both, one), slopes = trained("bfloat16")
  for found, expected in zip((both, one), trained("float32")[0], strict=True):
    np.testing.assert_allclose(found, expected, rtol=0.05)
    assert np.any(found != expected)
  assert slopes["rates"].dtype == np.float32
  np.testing.assert_allclose(slopes["rates"], trained("float32")[1]["rates"], rtol=0.2, atol=0.2)
