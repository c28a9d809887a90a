"""A step on a model of frequencies, whose gradient is counts less probabilities: weights, padding, averages."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from catgen.batches import batch_of, scored_positions
from catgen.events import sum_valid
from catgen.interfaces import Bound, EventSpec, Model
from catgen.training.sharding import make_mesh, place
from catgen.training.state import create_state, ema_decay_at, update_ema
from catgen.training.step import abstract_state, make_init, make_train_step

K, BATCH, LENGTH, RATE, DECAY = 4, 6, 3, 0.5, 0.6
RNG = np.random.default_rng(0)
X = RNG.integers(0, K, (BATCH, LENGTH)).astype(np.int32)
VALID = np.arange(LENGTH)[None] < np.array([3, 1, 2, 0, 3, 2])[:, None]
LOGITS = RNG.normal(size=K)


def bound(params, batch, keys, *, state, train, strata=None):
  nats = sum_valid(jax.nn.log_softmax(params["logits"])[batch.x], scored_positions(batch))
  return Bound(nats, {"first": 0.25 * nats, "second": 0.75 * nats}, batch.x[:, 0])


def update_state(state, statistics, valid):
  return {"seen": state["seen"].at[statistics].add(valid.astype(jnp.int32))}


MODEL = Model(
  EventSpec((LENGTH,), K),
  init=lambda batch, key: ({"logits": jnp.asarray(LOGITS, jnp.float32)}, {"seen": jnp.zeros(K, jnp.int32)}),
  bound=bound,
  sample=None,
  update_state=update_state,
)


@functools.cache
def trainer(model=MODEL):
  mesh, optimizer = make_mesh(devices=jax.devices()[:1]), optax.sgd(RATE)
  batch = place(batch_of(X, VALID), mesh)
  target = abstract_state(model, optimizer, batch, mesh=mesh, ema_decay=DECAY)
  step = make_train_step(model, optimizer, lambda step: RATE / (1 + step), target=target, ema_decay=DECAY)
  return mesh, make_init(model, optimizer, target=target), step


def run(*batches, model=MODEL):
  mesh, init, step = trainer(model)
  state, metrics = init(place(batches[0], mesh), jax.random.key(0)), []
  for batch in batches:
    state, found = step(state, place(batch, mesh), jax.random.key(1))
    metrics.append(jax.device_get(found))
  return jax.device_get(state), metrics


def softmax(logits):
  return np.exp(logits) / np.exp(logits).sum()


def after(logits, x, valid):
  """Gradient descent on the mean over valid positions, in float64."""
  frequencies = np.bincount(x[valid], minlength=K) / valid.sum()
  return logits + RATE * (frequencies - softmax(logits))


def test_a_step_moves_towards_the_frequencies_of_valid_positions():
  state, (metrics,) = run(batch_of(X, VALID))
  expected = after(LOGITS, X, VALID)
  np.testing.assert_allclose(state.params["logits"], expected, rtol=1e-5)
  nats = np.log(softmax(LOGITS))[X[VALID]].sum()
  np.testing.assert_allclose(metrics["nats"], nats, rtol=1e-5)
  np.testing.assert_allclose(metrics["terms"]["second"], 0.75 * nats, rtol=1e-5)
  np.testing.assert_allclose(metrics["grad_norm"], np.linalg.norm(expected - LOGITS) / RATE, rtol=1e-4)
  assert metrics["positions"] == VALID.sum()
  assert state.step == 1
  seen = np.bincount(X[VALID.any(axis=1), 0], minlength=K)
  np.testing.assert_array_equal(state.model_state["seen"], seen)  # of examples that have a valid position


def test_where_a_model_has_an_objective_of_its_own_training_follows_it_and_reports_nats():
  """Three times the nats of the first position and none of the others: a step three times that of those alone."""

  def weighted(params, batch, keys, **keywords):
    first = jnp.where(batch.valid[:, 0], jax.nn.log_softmax(params["logits"])[batch.x[:, 0]], 0.0)
    return bound(params, batch, keys, **keywords)._replace(objective=3.0 * first)

  state, (metrics,) = run(batch_of(X, VALID), model=MODEL._replace(bound=weighted))
  first = VALID & (np.arange(LENGTH) == 0)
  step = (after(LOGITS, X, first) - LOGITS) * 3 * first.sum() / VALID.sum()
  np.testing.assert_allclose(state.params["logits"], LOGITS + step, rtol=1e-5)
  np.testing.assert_allclose(metrics["nats"], np.log(softmax(LOGITS))[X[VALID]].sum(), rtol=1e-5)


def test_padding_holds_anything_and_examples_come_in_any_order():
  state, (metrics,) = run(batch_of(X, VALID))
  order = np.array([4, 2, 0, 5, 3, 1])
  other = np.where(VALID, X, (X + 1) % K)
  again, (moved,) = run(batch_of(other[order], VALID[order], index=order.astype(np.int32)))
  np.testing.assert_allclose(again.params["logits"], state.params["logits"], rtol=1e-6)
  np.testing.assert_allclose(moved["nats"], metrics["nats"], rtol=1e-6)


def test_context_is_read_and_neither_counted_nor_learned():
  scored = np.ones_like(VALID)
  scored[:, 0] = False
  state, (metrics,) = run(batch_of(X, VALID)._replace(scored=scored))
  np.testing.assert_allclose(state.params["logits"], after(LOGITS, X, VALID & scored), rtol=1e-5)
  assert metrics["positions"] == (VALID & scored).sum()


def test_a_batch_of_padding_alone_changes_no_parameter():
  state, (metrics,) = run(batch_of(X, np.zeros_like(VALID)))
  np.testing.assert_array_equal(state.params["logits"], np.float32(LOGITS))
  assert (metrics["nats"], metrics["positions"], metrics["grad_norm"]) == (0.0, 0, 0.0)
  assert not metrics["non_finite"]
  assert not state.model_state["seen"].any()


def test_averages_and_rates_over_several_steps_are_those_of_their_recursions():
  batches = [batch_of(RNG.integers(0, K, X.shape).astype(np.int32), VALID) for _ in range(4)]
  state, metrics = run(*batches)
  logits = average = LOGITS
  for step, batch in enumerate(batches):
    logits = after(logits, batch.x, VALID)
    decay = min(DECAY, (1 + step) / (10 + step))
    average = decay * average + (1 - decay) * logits
  np.testing.assert_allclose(state.params["logits"], logits, rtol=1e-4)
  np.testing.assert_allclose(state.ema["logits"], average, rtol=1e-4)
  np.testing.assert_allclose([each["learning_rate"] for each in metrics], RATE / np.arange(1, 5), rtol=1e-6)


def test_where_probabilities_are_the_frequencies_training_rests():
  """An average of parameters that do not move stays there too."""
  x = np.array([[0, 1, 2], [3, 0, 1], [2, 3, 0], [1, 2, 3], [0, 1, 2], [3, 3, 3]], np.int32)
  valid = np.ones_like(VALID)
  valid[5] = False
  valid[4] = False  # three of each category are left
  mesh, init, step = trainer()
  state = init(place(batch_of(x, valid), mesh), jax.random.key(0))
  params, ema = ({"logits": jax.device_put(np.full(K, 0.7, np.float32), state.params["logits"].sharding)} for _ in "ab")
  state, metrics = step(state._replace(params=params, ema=ema), place(batch_of(x, valid), mesh), jax.random.key(1))
  np.testing.assert_allclose(state.params["logits"], 0.7, atol=1e-6)
  np.testing.assert_allclose(state.ema["logits"], 0.7, atol=1e-6)
  assert metrics["grad_norm"] < 1e-6
  np.testing.assert_allclose(metrics["nats"] / metrics["positions"], -np.log(K), rtol=1e-6)


@pytest.mark.parametrize("decay", [0.05, 0.5, 0.999])
def test_an_average_has_the_weights_of_its_decays(decay):
  """In closed form: parameter i counts (1 - d_i) times the product of all later decays; the first one what is left."""
  values = RNG.normal(size=(9, 2))
  decays = np.minimum(decay, (1 + np.arange(8)) / (10 + np.arange(8)))
  later = np.append(np.cumprod(decays[::-1])[::-1][1:], 1.0)
  weights = np.concatenate([[decays.prod()], (1 - decays) * later])
  assert weights.sum() == pytest.approx(1.0)
  ema, update = {"a": jnp.asarray(values[0], jnp.float32)}, jax.jit(lambda *told: update_ema(*told, decay))
  for step, value in enumerate(values[1:]):
    ema = update(ema, {"a": jnp.asarray(value, jnp.float32)}, jnp.int32(step))
  np.testing.assert_allclose(ema["a"], weights @ values, rtol=1e-5)
  assert float(ema_decay_at(jnp.int32(7), decay)) == pytest.approx(decays[7], rel=1e-6)


@pytest.mark.parametrize("use_ema", [False, True])
def test_the_first_state_has_an_average_only_where_asked(use_ema):
  state = create_state(MODEL, optax.sgd(RATE), batch_of(X, VALID), jax.random.key(0), use_ema=use_ema)
  assert (state.ema is not None) == use_ema
  assert state.step.dtype == jnp.int32
  if use_ema:
    np.testing.assert_array_equal(state.ema["logits"], state.params["logits"])
