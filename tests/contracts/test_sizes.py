"""Columns of different sizes: absent categories have no probability, and the others all of it."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.interfaces import EventSpec, InputError, Model, SampleOptions
from catgen.keys import example_keys
from catgen.models import MODELS
from catgen.networks.conditions import Conditions
from catgen.processes import PROCESSES, SCHEDULES
from tests.contracts import exact
from tests.contracts.making import events_of, initial
from tests.contracts.parts import density, encoder, transformer

SIZES, T = (2, 3, 1), 4
EVENT = EventSpec((3,), 3, sizes=SIZES)
PRESENT = np.array(list(itertools.product(*map(range, SIZES))), np.int32)
MASKED = {"process": PROCESSES["absorbing"](), "schedule": SCHEDULES["linear"](), "num_steps": T}
UNIFORM = {"process": PROCESSES["uniform"](), "schedule": SCHEDULES["cosine"](), "num_steps": T}
FAMILIES = {"autoregressive": {}, "masked": MASKED, "uniform": UNIFORM}
MASKS = pytest.param("masked", marks=pytest.mark.slow)  # of the same predictions, and no noise of their own


@functools.cache
def made(name: str) -> tuple[Model, dict, dict]:
  kind = name if name in MODELS else "diffusion"
  model = MODELS[kind].make(event=EVENT, network=transformer(), **FAMILIES[name])
  return model, *initial(model)


@functools.cache
def log_prob(model: Model):
  return jax.jit(model.log_prob)


@functools.cache
def probabilities(name: str) -> np.ndarray:
  """Returns p(x) of all 27 events, those with an absent category among them."""
  model, params, state = made(name)
  events = events_of(EVENT)
  if name == "autoregressive":
    return np.exp(np.float64(log_prob(model)(params, batch_of(events), state=state)))
  spec = model.sample.args[0]

  @jax.jit
  def log_x0(states, time):
    return jax.nn.log_softmax(spec.network(params, states, Conditions(time=jnp.full(len(states), time))))

  table = SCHEDULES["linear" if name == "masked" else "cosine"].make().table(T).keep
  predict = lambda states, t: log_x0(states, np.float32((t - 1) / T))  # noqa: E731
  if name == "masked":
    return exact.diffusion("absorbing", 3, 3, table, predict)
  found = np.zeros(27)
  found[number_of(PRESENT)] = uniform_chain(table, predict)
  return found


def uniform_chain(kept: np.ndarray, predict) -> np.ndarray:
  """Returns p of the present events: positions of two, three and one categories, resampled among their own."""
  p = np.full(len(PRESENT), 1 / len(PRESENT))
  for t in range(T, 0, -1):
    x0 = np.exp(np.asarray(predict(PRESENT, t), np.float64))
    matrix = np.ones((len(PRESENT), len(PRESENT)))
    for d, size in enumerate(SIZES):
      to_s, s_to_t = (exact.kernel("uniform", size, keep) for keep in (kept[t - 1], kept[t] / kept[t - 1]))
      joint = (x0[:, d, :size] @ to_s) * s_to_t[:, PRESENT[:, d]].T
      matrix *= (joint / joint.sum(-1, keepdims=True))[:, PRESENT[:, d]]
    p = p @ matrix
  return p


def number_of(x: np.ndarray) -> np.ndarray:
  return np.asarray(x) @ (9, 3, 1)


@pytest.mark.parametrize("name", ["autoregressive", "uniform", MASKS])
def test_present_categories_have_all_probability_and_absent_ones_none(name):
  p, present = probabilities(name), np.zeros(27, bool)
  present[number_of(PRESENT)] = True
  assert not p[~present].any()
  np.testing.assert_allclose(p[present].sum(), 1.0, atol=1e-5)
  assert p[present].std() > 0.01


@pytest.mark.parametrize("name", ["autoregressive", "uniform", MASKS])
def test_bounds_samples_and_gradients_are_those_of_columns(name):
  model, params, state = made(name)
  p, draws = probabilities(name)[number_of(PRESENT)], 800
  batch = batch_of(np.repeat(PRESENT, draws, axis=0))

  @jax.jit
  def say(params, batch):
    keys = example_keys(jax.random.key(1), batch.index)

    def loss(params):
      nats = model.bound(params, batch, keys, state=state, train=False).nats
      return -nats.mean(), nats

    drawn = model.sample(params, keys[:3000], state=state, options=SampleOptions(top_p=0.999)).x
    (_, nats), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    return nats, gradient, drawn

  nats, gradient, drawn = jax.device_get(say(params, batch))
  nats = nats.reshape(len(PRESENT), draws)
  error = nats.std(axis=1) / np.sqrt(draws)
  assert np.all(nats.mean(axis=1) <= np.log(p) + 4.5 * error + 1e-4)
  assert np.all(nats.mean(axis=1) >= 3 * np.log(p) - 1)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
  found = np.bincount(number_of(drawn), minlength=27)
  assert found[number_of(PRESENT)].sum() == len(drawn)
  np.testing.assert_allclose(found[number_of(PRESENT)] / len(drawn), p, atol=0.05)


@pytest.mark.parametrize("name", ["autoregressive", "uniform", MASKS])
def test_predictions_of_nothing_need_the_logarithm_of_each_columns_size(name):
  expected = sum(map(math.log, SIZES))
  model, params, state = made(name)
  nothing = jax.tree.map(np.zeros_like, params)
  if name == "autoregressive":
    np.testing.assert_allclose(log_prob(model)(nothing, batch_of(PRESENT), state=state), -expected, atol=1e-5)
    return
  many = batch_of(np.repeat(PRESENT, 500, axis=0))
  keys = example_keys(jax.random.key(0), jnp.arange(len(many.x)))
  nats = jax.jit(model.full_bound)(nothing, many, keys, state=state)[0].nats.reshape(len(PRESENT), -1)
  error = nats.std(axis=1) / np.sqrt(500)
  assert np.all(np.abs(nats.mean(axis=1) + expected) < 4.5 * error + 1e-4)
  assert np.all(error < 0.15)


def test_weights_of_the_uniform_chain_have_the_exact_mean_and_absent_events_none():
  model, params, state = made("uniform")
  many = batch_of(np.repeat(PRESENT, 400, axis=0))
  keys = example_keys(jax.random.key(2), jnp.arange(len(many.x)))
  weights = np.exp(np.float64(jax.jit(model.log_weight)(params, many, keys, state=state))).reshape(len(PRESENT), -1)
  error = weights.std(axis=1) / 20
  assert np.all(np.abs(weights.mean(axis=1) - probabilities("uniform")[number_of(PRESENT)]) < 4.5 * error)


def test_denoised_categories_and_restricted_samples_are_those_of_a_column():
  model, params, state = made("uniform")
  found = jax.jit(model.denoise)(params, PRESENT, np.ones(PRESENT.shape, bool), 0.2, state=state)[0]
  for d, size in enumerate(SIZES):
    assert np.isneginf(found[:, d, size:]).all()
    np.testing.assert_allclose(np.exp(found[:, d, :size]).sum(-1), 1.0, rtol=1e-5)
  keys = example_keys(jax.random.key(0), jnp.arange(200))
  for options in (SampleOptions(temperature=0.0), SampleOptions(temperature=0.5, correction=0.1)):
    drawn = jax.jit(lambda keys, options=options: model.sample(params, keys, state=state, options=options).x)(keys)
    assert (np.asarray(drawn) < SIZES).all()


def test_families_that_know_no_columns_say_so():
  hybrid = {"network": transformer(), "process": PROCESSES["hybrid"](), "schedule": SCHEDULES["linear"]()}
  for name, options in (
    ("diffusion", hybrid),
    ("discrete_flow", {"conditioner": transformer(), "num_layers": 2}),
    ("denoising_flow", {"conditioner": transformer(), "num_layers": 2}),
    ("dequantized_flow", {"density": density("autoregressive")}),
    ("argmax_flow", {"encoder": encoder("per_position"), "density": density("autoregressive")}),
  ):
    with pytest.raises(InputError, match="has the same categories at every position"):
      MODELS[name].make(event=EVENT, **options)
