"""A memory that training carries from step to step: what it holds, that it is the run's, and who has which part."""

import functools

import chex
import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.data.pipeline import train_batch
from catgen.data.splits import stream_split
from catgen.interfaces import EventSpec, ReadOptions
from catgen.keys import example_keys
from catgen.models import MODELS
from catgen.networks import TRUNKS
from catgen.training.checkpoint import Checkpointer
from catgen.training.learning_rate import DECAYS
from catgen.training.optimizer import OPTIMIZERS
from catgen.training.restoring import restore_params
from catgen.training.sharding import batch_sharding, make_mesh, place
from catgen.training.step import abstract_state, make_init, make_train_step

LENGTH, K, STREAMS, PER_PART = 4, 3, 16, 3  # an epoch is three steps
SPLIT = stream_split(np.random.default_rng(0).integers(0, K, STREAMS * PER_PART * LENGTH + 5), LENGTH)
MODEL = MODELS["autoregressive"].make(
  event=EventSpec((LENGTH,), K, whole=True),
  network=TRUNKS["transformer_xl"](width=8, num_layers=1, num_heads=2, hidden_width=12, memory_length=6, dropout=0.1),
)
KEY = jax.random.key(2)


def batch_at(step):
  return train_batch(SPLIT, seed=0, step=step, batch_size=STREAMS, crops=True, streams=True)


@functools.cache
def built(devices=1, fsdp=1, num_microbatches=1):
  """Returns (target, init, step, mesh)."""
  update, rate = OPTIMIZERS["adam"](learning_rate=1e-2, decay=DECAYS["constant"]())(100)
  mesh = make_mesh(fsdp=fsdp, devices=jax.devices()[:devices])
  first = place(batch_at(0), mesh)
  target = abstract_state(MODEL, update, first, mesh=mesh, min_size=1)
  create = make_init(MODEL, update, target=target)
  step = make_train_step(MODEL, update, rate, target=target, num_microbatches=num_microbatches)
  return target, lambda: create(first, jax.random.key(1)), step, mesh


def trained(number, state=None, **how):
  """Returns the state after so many steps, the metrics of each, and the state before each."""
  _, init, step, mesh = built(**how)
  state, metrics, before = init() if state is None else state, [], []
  for count in range(int(state.step), int(state.step) + number):
    before.append(jax.device_get(state))
    state, found = step(state, place(batch_at(count), mesh), KEY, count)
    metrics.append(jax.device_get(found))
  return state, metrics, before


@functools.cache
def straight():
  return trained(5)


@functools.cache
def read_on():
  def bound(params, batch, memory, keys):
    return MODEL.carry.bound(params, batch, memory, keys, state={}, train=True, options=ReadOptions())

  return jax.jit(bound)


def keys_of(step):
  draws, _ = jax.random.split(jax.random.fold_in(KEY, step))
  return example_keys(draws, jax.device_put(np.arange(STREAMS, dtype=np.int32)))


def test_each_step_reads_on_from_the_one_before_and_begins_anew_with_the_stream():
  state, metrics, before = straight()
  after = [each.memory for each in before[1:]] + [jax.device_get(state.memory)]
  nothing = jax.device_get(MODEL.carry.empty(jax.device_put(before[0].params), STREAMS))
  chex.assert_trees_all_equal(before[0].memory, nothing)
  for step, (start, found) in enumerate(zip(before, metrics, strict=True)):
    memory = nothing if step % PER_PART == 0 else start.memory
    batch = batch_at(step)._replace(continues=None)
    bound, remembered = jax.device_get(read_on()(start.params, batch, memory, keys_of(step)))
    np.testing.assert_allclose(bound.nats.sum(), found["nats"], rtol=1e-5)
    chex.assert_trees_all_close(remembered, after[step], rtol=1e-4, atol=1e-5)
  valid = [each["trunk"]["valid"].sum(axis=1) for each in after]
  assert [sorted(set(each)) for each in valid] == [[4], [6], [6], [4], [6]]  # of six, and emptied at the end of a pass


@pytest.mark.slow  # as the test of this name in test_train_step.py
@pytest.mark.parametrize("how", [{"num_microbatches": 2}, {"devices": 4, "fsdp": 2, "num_microbatches": 2}])
def test_devices_and_microbatches_change_only_rounding(how):
  state, metrics, _ = trained(5, **how)
  one, expected, _ = straight()
  chex.assert_trees_all_close(metrics, expected, rtol=2e-4, atol=1e-4)
  chex.assert_trees_all_close(jax.device_get(state.memory), jax.device_get(one.memory), rtol=1e-2, atol=1e-3)
  for leaf in jax.tree.leaves(state.memory):  # each device has that of its own examples
    assert leaf.sharding.is_equivalent_to(batch_sharding(built(**how)[3]), leaf.ndim)


def test_resumed_is_uninterrupted_bit_for_bit_and_what_is_loaded_knows_no_memory(tmp_path):
  state, _, _ = trained(2)
  with Checkpointer(tmp_path) as checkpoints:
    checkpoints.save(2, state)
    checkpoints.wait()
    restored = checkpoints.restore(built()[0])
  resumed, later, _ = trained(3, restored)
  uninterrupted, metrics, _ = straight()
  chex.assert_trees_all_equal(jax.device_get(resumed), jax.device_get(uninterrupted))
  chex.assert_trees_all_equal(later, metrics[2:])
  assert (tmp_path / "checkpoints" / "2" / "memory").is_dir()
  loaded = restore_params(tmp_path)
  assert loaded.model_state == {}
  other = batch_of(np.zeros((3, LENGTH), np.int32))  # another batch size than in training
  assert jax.eval_shape(lambda p, b: MODEL.log_prob(p, b, state={}), loaded.params, other).shape == (3,)


def test_a_step_that_is_not_finite_leaves_the_memory_as_it_was():
  _, _, step, mesh = built()
  state, _, _ = trained(1)
  before = jax.device_get(state.memory)
  broken = state._replace(params=jax.tree.map(lambda leaf: leaf * np.nan, state.params))
  after, metrics = step(broken, place(batch_at(1), mesh), KEY, 1)
  assert metrics["non_finite"]
  chex.assert_trees_all_equal(jax.device_get(after.memory), before)


def test_without_streams_nothing_is_carried():
  update, _ = OPTIMIZERS["adam"]()(100)
  mesh = make_mesh(devices=jax.devices()[:1])
  crops = train_batch(SPLIT, seed=0, step=0, batch_size=STREAMS, crops=True)
  assert abstract_state(MODEL, update, place(crops, mesh), mesh=mesh).memory is None
