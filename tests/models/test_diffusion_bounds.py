"""Bounds and weights of diffusion models against enumeration, and what each example's draw depends on."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.models.diffusion.bound import continuous_bound, discrete_bound, full_bound
from catgen.models.diffusion.spec import last_step_nats, predict
from catgen.models.diffusion.weights import log_weight, order_log_weight
from tests.models.stubs import enumerated, keys_of, own, spec_of, table, whole, zeros

DRAWS = 3000
CASES = {
  "multinomial": ("uniform", "paper_cosine", 2, 2),
  "masked": ("absorbing", "linear", 3, 2),
  "hybrid": ("hybrid", "linear", 2, 3),
}
MOST = ["multinomial", "masked", pytest.param("hybrid", marks=pytest.mark.slow)]  # it ends in masks


@functools.cache
def drawn(name):
  """Returns the enumerated model and draws [events, draws] of the bound, the full bound and the weight."""
  model = enumerated(*CASES[name])
  batch = whole(np.repeat(model.events, DRAWS, axis=0))
  keys = keys_of(batch)

  @jax.jit
  def draw(params, batch, keys):
    one = discrete_bound(model.spec, "uniform", params, batch, keys, state={}, train=False)
    full, profile = full_bound(model.spec, params, batch, keys, state={})
    return one.nats, full.nats, log_weight(model.spec, params, batch, keys, state={}), one, full, profile

  one, full, weight, *records = draw(model.params, batch, keys)
  return model, *(np.asarray(each, np.float64).reshape(-1, DRAWS) for each in (one, full, weight)), records


def assert_mean(draws, expected):
  error = draws.std(axis=1) / np.sqrt(DRAWS)
  assert np.all(np.abs(draws.mean(axis=1) - expected) < 4.5 * error + 1e-4)
  assert error.max() < 0.2


@pytest.mark.parametrize("name", MOST)
def test_one_time_step_and_all_of_them_have_the_enumerated_bound_as_their_mean(name):
  model, one, full, _, _ = drawn(name)
  assert np.all(model.elbo < np.log(model.probs) + 1e-12)
  assert_mean(one, model.elbo)
  assert_mean(full, model.elbo)
  assert full.std(axis=1).max() < one.std(axis=1).max()


@pytest.mark.parametrize("name", MOST)
def test_weights_of_trajectories_average_to_the_enumerated_probability(name):
  model, _, _, weight, _ = drawn(name)
  np.testing.assert_allclose(model.probs.sum(), 1.0, rtol=1e-12)
  assert_mean(np.exp(weight), model.probs)
  assert_mean(weight, model.elbo)  # and the mean of their logarithms is the bound


@pytest.mark.parametrize("name", MOST)
def test_one_step_is_told_apart_from_the_others_by_its_term(name):
  model, _, _, _, (one, full, profile) = drawn(name)
  steps, losses = (np.asarray(part) for part in one.statistics)
  assert set(steps.tolist()) == set(range(1, model.spec.num_steps + 1))
  weighted = -model.spec.num_steps * losses
  np.testing.assert_allclose(one.terms["reconstruction"], np.where(steps == 1, weighted, 0.0), rtol=1e-6)
  np.testing.assert_allclose(one.terms["diffusion"], np.where(steps == 1, 0.0, weighted), rtol=1e-6)
  np.testing.assert_allclose(full.terms["reconstruction"], -np.asarray(profile.by_time)[:, 0], rtol=1e-6)
  np.testing.assert_allclose(one.terms["prior"], full.terms["prior"], rtol=1e-6)
  assert (np.abs(full.terms["prior"]).max() > 1e-5) == (name == "multinomial")  # which leaves something


def scored(spec, params, function):
  return functools.partial(jax.jit(functools.partial(function, spec)), params)


def any_order(spec, params, batch, keys):
  return order_log_weight(spec, params, batch, keys, state={})


def test_an_example_takes_its_draws_along_and_leaves_its_padding_behind():
  spec = spec_of(own, shape=(4,), process="absorbing", num_steps=0)
  x = np.random.default_rng(0).integers(0, 3, (6, 4))
  valid = np.arange(4)[None] < np.array([4, 3, 2, 1, 0, 4])[:, None]
  batch = whole(x)._replace(valid=valid)
  score, keys = scored(spec, table(4, 3), any_order), keys_of(batch)
  nats = np.asarray(score(batch, keys))
  order = np.array([5, 3, 1, 0, 2, 4], np.int32)
  moved = batch._replace(x=batch.x[order], valid=batch.valid[order])
  np.testing.assert_array_equal(score(moved, keys_of(batch._replace(index=order))), nats[order])
  other = batch._replace(x=np.where(valid, x, (x + 1) % 3).astype(np.int32))
  np.testing.assert_array_equal(score(other, keys), nats)
  assert nats[4] == 0.0
  assert len(np.unique(nats)) == 6


def test_strata_choose_the_step_unless_steps_are_independent():
  spec, batch = spec_of(zeros, num_steps=8), whole(np.zeros((8, 2)))
  strata = ((np.arange(8) + 0.3) / 8).astype(np.float32)[::-1]

  @jax.jit
  def steps(batch, keys, strata):
    return [
      discrete_bound(spec, sampler, 3, batch, keys, state={}, train=False, strata=some).statistics[0]
      for sampler, some in (("stratified", strata), ("uniform", strata), ("stratified", None))
    ]

  stratified, uniform, alone = steps(batch, keys_of(batch), strata)
  assert stratified.tolist() == [8, 7, 6, 5, 4, 3, 2, 1]
  assert uniform.tolist() == alone.tolist() != stratified.tolist()


def test_steps_that_are_drawn_by_their_losses_weigh_by_their_probability():
  spec, batch = spec_of(own, process="absorbing", num_steps=4), whole(np.zeros((400, 2)))
  state = {"squares": np.float32([5.0, 9.0, 1.0, 16.0]), "counts": np.full(4, 100, np.int32)}
  p = np.array([3.0, 3.0, 1.0, 4.0]) / 11  # the first step has the second's
  strata = ((np.arange(400) + 0.5) / 400).astype(np.float32)
  draw = functools.partial(discrete_bound, spec, "importance", train=False)
  found = jax.jit(draw)(table(4, 3), batch, keys_of(batch), state=state, strata=strata)
  steps, losses = (np.asarray(part) for part in found.statistics)
  np.testing.assert_allclose(np.bincount(steps, minlength=5)[1:] / 400, p, atol=0.005)
  assert losses.max() > 0.01
  np.testing.assert_allclose(found.terms["prior"] - found.nats, losses / p[steps - 1], rtol=1e-3, atol=1e-6)


def test_a_masked_rate_counts_masks_over_time_in_units_of_log_k():
  """Of a prediction that knows nothing, at 1 - alpha_bar = t: each mask costs log K / t."""
  spec, batch = spec_of(zeros, shape=(6,), num_classes=5, process="absorbing", num_steps=0), whole(np.zeros((400, 6)))
  strata = ((np.arange(400) + 0.5) / 400).astype(np.float32)
  bound = jax.jit(
    lambda batch, keys, strata: continuous_bound(
      spec, "stratified", 5, batch, keys, state={}, train=True, strata=strata
    )
  )(batch, keys_of(batch), strata)
  masks = -np.asarray(bound.nats, np.float64) * strata / np.log(5)
  np.testing.assert_allclose(masks, np.round(masks), atol=1e-4)
  assert masks.max() < 6.001
  assert abs((masks / strata).mean() - 6) < 4 * (masks / strata).std() / 20
  np.testing.assert_array_equal(bound.terms["prior"], 0.0)


def test_in_a_random_order_every_position_is_predicted_once_with_one_mask_less_each_time():
  """The network's logits follow from the number of masks alone, so that any order gives the same product."""

  def counting(params, x_t, time):
    masks = (x_t == 3).sum(axis=1)
    return jnp.broadcast_to(params[masks][:, None], (*x_t.shape, 3))

  params, length, padding = table(6, 3, seed=4), 5, 2
  spec = spec_of(counting, shape=(length,), process="absorbing", num_steps=0)
  batch = whole(np.ones((3, length)))
  batch = batch._replace(valid=np.arange(length)[None] < np.full((3, 1), length - padding))
  found = scored(spec, params, any_order)(batch, keys_of(batch))
  logits = np.asarray(params, np.float64)
  log_p = (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))[:, 1]
  np.testing.assert_allclose(found, log_p[padding + 1 :].sum(), rtol=1e-5)


def test_predictions_are_normalized():
  spec, params = spec_of(own), 5 * table(3, 3)
  x_t = np.array([[0, 2]], np.int32)
  found = np.exp(jax.jit(lambda p, x, t: predict(spec, p, x, t, None))(params, x_t, np.zeros(1)))
  powers = np.exp(np.asarray(params, np.float64)[[0, 2]])
  np.testing.assert_allclose(found[0], powers / powers.sum(axis=-1, keepdims=True), rtol=1e-5)


def test_only_the_first_step_is_taken_literally():
  nats, log_x0 = np.array([[1.0, 2.0], [3.0, 4.0]]), -np.arange(12.0).reshape(2, 2, 3)
  found = jax.jit(last_step_nats)(
    *(part.astype(np.float32) for part in (nats, log_x0)), np.array([[2, 0], [2, 0]]), np.array([1, 2])
  )
  np.testing.assert_allclose(found, [[2.0, 3.0], [3.0, 4.0]])
