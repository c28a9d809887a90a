import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.interfaces import InputError
from catgen.keys import example_keys, example_strata
from catgen.training import step as stepping
from catgen.training.optimizer import OPTIMIZERS
from catgen.training.sharding import make_mesh, place
from tests import toys
from tests.training.trainer import Setting, build, run_steps

STEPS = 6
ONE = Setting(devices=1)
OTHERS = {
  "8 devices": ("denoiser", Setting()),
  "8 devices, fsdp": ("denoiser", Setting(fsdp=8)),
  "4 microbatches": ("denoiser", Setting(devices=1, num_microbatches=4)),
  "muon, 8 devices, fsdp": ("markov", Setting(fsdp=8, optimizer="muon")),
  "muon, 2 x 2, 4 microbatches": ("markov", Setting(devices=4, fsdp=2, num_microbatches=4, optimizer="muon")),
}
# Each way to spread a step, with a model that has a state and with one that has none; the others mix the same ways.
FAST = ("8 devices, fsdp", "muon, 2 x 2, 4 microbatches")


@pytest.mark.parametrize(
  ("name", "setting"),
  [pytest.param(*OTHERS[each], id=each, marks=() if each in FAST else pytest.mark.slow) for each in OTHERS],
)
def test_devices_and_microbatches_change_only_rounding(name, setting):
  state, metrics = run_steps(build(name, ONE._replace(optimizer=setting.optimizer)), STEPS)
  other, others = run_steps(build(name, setting), STEPS)
  chex.assert_trees_all_close(others, metrics, rtol=2e-4, atol=1e-4)
  chex.assert_trees_all_close(jax.device_get(other), jax.device_get(state), rtol=5e-3, atol=2e-4)
  assert int(other.step) == STEPS


@pytest.mark.parametrize("name", ["denoiser", pytest.param("markov", marks=pytest.mark.slow)])
def test_the_step_is_the_gradient_of_the_mean_over_valid_positions(name):
  model, trainer = toys.MODELS[name](), build(name, ONE)
  state = trainer.init()
  before = jax.device_get(state.params)
  batch, model_state = jax.device_put((toys.first_batch(), jax.device_get(state.model_state)))

  def loss(params):
    draws, strata = jax.random.split(jax.random.fold_in(trainer.key, 0))
    keys, strata = example_keys(draws, batch.index), example_strata(strata, batch.index, 16)
    nats = model.bound(params, batch, keys, state=model_state, train=True, strata=strata).nats
    return -nats.sum() / batch.valid.sum()

  value, grads = jax.device_get(jax.jit(jax.value_and_grad(loss))(before))
  after, metrics = trainer.train_step(state, trainer.place(toys.first_batch()), trainer.key, 0)
  np.testing.assert_allclose(-metrics["nats"] / metrics["positions"], value, rtol=1e-5)
  norm = np.sqrt(sum(np.square(g).sum() for g in jax.tree.leaves(grads)))
  np.testing.assert_allclose(metrics["grad_norm"], norm, rtol=1e-4)
  # The first step of Adam moves by the rate (half the peak) against the sign of the gradient, where that is not tiny.
  for old, new, grad in zip(*map(jax.tree.leaves, (before, jax.device_get(after.params), grads)), strict=True):
    clear = np.abs(grad) > 1e-4
    np.testing.assert_allclose((new - old)[clear], -0.01 * np.sign(grad)[clear], rtol=1e-2)


def test_terms_add_up_and_positions_are_counted():
  _, metrics = run_steps(build("denoiser", ONE), 2)
  for step, (batch, found) in enumerate(zip(toys.batches(), metrics, strict=False)):
    assert found["positions"] == batch.valid.sum()
    np.testing.assert_allclose(sum(found["terms"].values()), found["nats"], rtol=1e-5)
    np.testing.assert_allclose(found["learning_rate"], 0.02 * min(1, (step + 1) / 2), rtol=1e-6)


@functools.cache
def recorder():
  """A model whose state records what it is given."""
  base = toys.markov()

  def init(batch, key):
    zeros = jnp.zeros(16)
    state = {"index": zeros.astype(jnp.int32), "strata": zeros, "draws": zeros, "valid": zeros.astype(bool)}
    return base.init(batch, key)[0], state

  def bound(params, batch, keys, *, state, train, strata=None):
    seen = {"index": batch.index, "strata": strata, "draws": jax.vmap(jax.random.uniform)(keys)}
    return base.bound(params, batch, keys, state={}, train=train)._replace(statistics=seen)

  def update_state(state, statistics, valid):
    return {**statistics, "valid": valid}

  return base._replace(init=init, bound=bound, update_state=update_state)


def test_update_state_sees_the_whole_batch_in_order_and_draws_do_not_depend_on_microbatches():
  seen, found = [], []
  for setting in (ONE, Setting(num_microbatches=2)):
    trainer = build(recorder(), setting)
    batch = toys.first_batch()
    batch.valid[3] = False
    state, metrics = trainer.train_step(trainer.init(), trainer.place(batch), trainer.key, 0)
    seen.append(jax.device_get(state.model_state))
    found.append(jax.device_get((state.params, metrics)))
    assert list(seen[-1]["index"]) == list(range(16))
    assert list(seen[-1]["valid"]) == [number != 3 for number in range(16)]
    # One example in each sixteenth of [0, 1): strata cover the batch evenly.
    assert sorted(np.floor(seen[-1]["strata"] * 16).astype(int)) == list(range(16))
  chex.assert_trees_all_equal(*seen)
  (one, one_metrics), (other, other_metrics) = found
  chex.assert_trees_all_close(other, one, rtol=5e-3, atol=2e-4)
  chex.assert_trees_all_close(other_metrics, one_metrics, rtol=2e-4, atol=1e-4)  # the norm of the gradient among them


def test_keys_differ_between_steps_and_examples():
  draws = [run_steps(build(recorder(), ONE), steps)[0].model_state["draws"] for steps in (1, 2)]
  assert len(np.unique(np.concatenate(draws))) == 32


def poison(batch):
  """A category out of range makes the toy's log-probability NaN."""
  return batch._replace(x=np.where(np.arange(16)[:, None] == 5, 10**6, batch.x).astype(np.int32))


def test_a_step_that_is_not_finite_changes_nothing_and_stops_those_behind_it():
  trainer = build("denoiser", ONE)
  state, _ = run_steps(trainer, 2)
  before = jax.device_get(state)
  state, metrics = trainer.train_step(state, trainer.place(poison(toys.first_batch())), trainer.key, 2)
  assert metrics["non_finite"]
  chex.assert_trees_all_equal(jax.device_get(state), before)
  state, metrics = trainer.train_step(state, trainer.place(toys.first_batch()), trainer.key, 3)
  assert not metrics["non_finite"]
  chex.assert_trees_all_equal(jax.device_get(state), before)
  state, _ = trainer.train_step(state, trainer.place(toys.first_batch()), trainer.key, 2)
  assert int(state.step) == 3


def test_one_compilation_serves_all_steps():
  trainer = build("denoiser", ONE)
  state, _ = run_steps(trainer, 1)
  compiled = trainer.train_step._cache_size()
  run_steps(trainer, 2, state)
  run_steps(trainer, 2)
  assert trainer.train_step._cache_size() == compiled


def test_a_model_of_many_arrays_begins_and_goes_on_like_any_other(monkeypatch):
  """Drawn operation by operation, up to rounding the same; its buffers are its own, so that a step can consume them."""
  usual = build("denoiser", ONE)
  monkeypatch.setattr(stepping, "MANY_ARRAYS", 0)
  other = build.__wrapped__("denoiser", ONE)
  chex.assert_trees_all_close(other.init(), usual.init(), rtol=1e-5, atol=1e-6)
  states = [run_steps(usual, 2, trainer.init())[0] for trainer in (other, usual)]
  chex.assert_trees_all_close(*(state.params for state in states), rtol=1e-4, atol=1e-5)


def labelled():
  """A model whose bound is a random number of each example and which counts the labels that it is not given."""
  base = toys.markov(toys.EVENT._replace(given=(3, 2)))

  def bound(params, batch, keys, *, state, train, strata=None):
    drawn = base.bound(params, batch, keys, state=state, train=train, strata=strata)
    hidden = (batch.given == jnp.array([[3, 2]])).sum(axis=1).astype(jnp.float32)
    return drawn._replace(terms={**drawn.terms, "hidden": hidden})

  return base._replace(bound=bound)


@functools.cache
def labelled_run():
  """Returns the parts of a run of such a model, and its batch: optimizer, rate, target, first state, batch."""
  update, rate = OPTIMIZERS["adamw"]()(100)
  mesh, batch = make_mesh(devices=jax.devices()[:1]), toys.first_batch(batch_size=512)
  placed = place(batch._replace(given=np.stack([batch.index % 3, batch.index % 2], axis=1)), mesh)
  target = stepping.abstract_state(labelled(), update, placed, mesh=mesh)
  init = stepping.make_init(labelled(), update, target=target)
  return update, rate, target, functools.partial(init, placed, jax.random.key(1)), placed


@pytest.mark.parametrize("num_microbatches", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_labels_are_hidden_with_their_share_and_no_other_draw_changes(num_microbatches):
  update, rate, target, init, batch = labelled_run()
  steps, found = 4, {}
  for share in (0.0, 0.25):
    state = init()
    train_step = stepping.make_train_step(
      labelled(), update, rate, target=target, num_microbatches=num_microbatches, hidden_given=share
    )
    metrics = []
    for _ in range(steps):
      state, step_metrics = train_step(state, batch, jax.random.key(2))
      metrics.append(jax.device_get(step_metrics))
    found[share] = metrics
  for shown, hidden in zip(found[0.0], found[0.25], strict=True):
    assert shown["terms"]["hidden"] == 0
    assert shown["nats"] == hidden["nats"]  # which depends on every key but on no label
  counts = np.array([metrics["terms"]["hidden"] for metrics in found[0.25]])
  number = batch.given.size * steps
  assert abs(counts.sum() / number - 0.25) < 4 * np.sqrt(0.25 * 0.75 / number)
  assert len(set(counts.tolist())) > 1  # other labels are hidden in the next step


def test_a_share_of_labels_is_no_percentage():
  update, rate = OPTIMIZERS["adamw"]()(100)
  with pytest.raises(InputError, match=r"hidden_given is 10\.0; it is a share"):
    stepping.make_train_step(toys.markov(), update, rate, target=build("markov", ONE).target, hidden_given=10.0)
