"""Reading on from a memory: segments of a long event give the probability of the whole, and nothing is learned through
what is remembered."""

import functools

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.interfaces import EventSpec, ReadOptions
from catgen.keys import example_keys
from catgen.models import MODELS
from catgen.networks import TRUNKS
from tests.parameters import filled

LENGTH, K = 12, 3
X = np.random.default_rng(0).integers(0, K, (3, LENGTH)).astype(np.int32)
VALID = np.ones(X.shape, bool)
VALID[1, 3:6], VALID[2, 9:] = False, False  # a hole that one segment ends in, and an end


@functools.cache
def made(num_layers=2, **sizes):
  """Returns a model and its parameters, away from those at the start."""
  network = TRUNKS["transformer_xl"](width=8, num_layers=num_layers, num_heads=2, hidden_width=12, **sizes)
  model = MODELS["autoregressive"].make(event=EventSpec((LENGTH,), K), network=network)
  return model, filled(jax.eval_shape(model.init, batch_of(X), jax.random.key(0))[0])


@functools.cache
def program(model, options):
  def segment(params, batch, memory):
    keys = example_keys(jax.random.key(0), batch.index)
    return model.carry.bound(params, batch, memory, keys, state={}, train=False, options=options)

  return jax.jit(segment)


def in_segments(lengths, size, model=None, params=None, x=X, valid=VALID, options=ReadOptions()):  # noqa: B008
  """Returns the nats of all segments of each example, [segments, examples]."""
  model, params = made() if model is None else (model, params)
  memory, found, start = model.carry.empty(params, len(x), size=size), [], 0
  for length in lengths:
    part = slice(start, start + length)
    bound, memory = program(model, options)(params, batch_of(x[:, part], valid[:, part]), memory)
    found.append(np.asarray(bound.nats, np.float64))
    start += length
  assert start == x.shape[1]
  return np.array(found)


@functools.cache
def in_one_pass():
  model, params = made()
  return np.asarray(jax.jit(lambda p, b: model.log_prob(p, b, state={}))(params, batch_of(X, VALID)), np.float64)


@pytest.mark.parametrize(
  "lengths",
  [(5, 7), (7, 5), (1,) * LENGTH, *(pytest.param(each, marks=pytest.mark.slow) for each in ((LENGTH,), (3, 4, 5)))],
)
@pytest.mark.parametrize("size", [LENGTH, pytest.param(LENGTH + 5, marks=pytest.mark.slow)])
def test_any_segmentation_with_enough_memory_gives_the_nats_of_one_causal_pass(lengths, size):
  np.testing.assert_allclose(in_segments(lengths, size).sum(axis=0), in_one_pass(), rtol=2e-5)


def test_with_less_memory_it_does_not():
  difference = in_segments((1,) * LENGTH, 2).sum(axis=0) - in_one_pass()
  assert np.abs(difference).min() > 1e-3


def test_a_segment_before_which_nothing_stands_is_an_event_by_itself():
  alone = in_segments((5,), LENGTH, x=X[:, 7:], valid=VALID[:, 7:])[0]
  after = in_segments((7, 5), LENGTH)[1]
  assert np.abs(alone - after)[:2].min() > 1e-3
  shorter = MODELS["autoregressive"].make(
    event=EventSpec((5,), K),
    network=TRUNKS["transformer_xl"](width=8, num_layers=2, num_heads=2, hidden_width=12),
  )
  whole = jax.jit(lambda p, b: shorter.log_prob(p, b, state={}))(made()[1], batch_of(X[:, 7:], VALID[:, 7:]))
  np.testing.assert_allclose(alone, whole, rtol=2e-5)


def test_a_memory_is_read_and_no_gradient_passes_it():
  model, params = made()

  @jax.jit
  def total(inputs, memory, params, batch):
    keys, memory = (
      example_keys(jax.random.key(0), batch.index),
      {**memory, "trunk": {**memory["trunk"], "inputs": inputs}},
    )
    bound, _ = model.carry.bound(params, batch, memory, keys, state={}, train=True, options=ReadOptions())
    return bound.nats.sum()

  _, memory = program(model, ReadOptions())(
    params, batch_of(X[:, :5]), jax.device_get(model.carry.empty(jax.device_put(params), 3, size=LENGTH))
  )
  inputs, batch = memory["trunk"]["inputs"], batch_of(X[:, 5:])
  assert abs(total(inputs, memory, params, batch) - total(inputs + 0.1, memory, params, batch)) > 1e-3
  assert not np.any(jax.grad(total)(inputs, memory, params, batch))


@pytest.mark.parametrize("size", [3])
def test_with_the_same_length_every_position_sees_as_many_before_it(size):
  """Of one layer, whose memory is of categories alone: a position is read by the next one and by `size` more."""
  model, params = made(num_layers=1)
  read = functools.partial(
    in_segments, (1,) * LENGTH, model=model, params=params, valid=VALID | True, options=ReadOptions(same_length=True)
  )
  whole = functools.partial(read, size=LENGTH)
  limited, plain = read(size=size), whole()
  for place in range(LENGTH - 1):
    changed = X.copy()
    changed[:, place] = (changed[:, place] + 1) % K
    moved = np.abs(read(size=size, x=changed) - limited).min(axis=1)
    np.testing.assert_array_equal(moved[:place], 0)
    np.testing.assert_array_equal(moved[place + size + 2 :], 0)
    assert (moved[place + 1 : place + size + 2] > 0).all()
  assert np.abs(plain - limited)[size + 1 :].max() > 1e-3


def test_one_long_segment_sees_no_further_than_many_short_ones_with_the_same_length():
  model, params = made(num_layers=1)
  options = {"model": model, "params": params, "options": ReadOptions(same_length=True)}
  short, long = in_segments((1,) * LENGTH, 3, **options), in_segments((5, 7), 3, **options)
  np.testing.assert_allclose(long[0], short[:5].sum(axis=0), rtol=2e-5)
  np.testing.assert_allclose(long[1], short[5:].sum(axis=0), rtol=2e-5)


def test_distances_may_be_clamped():
  far = in_segments((5, 7), LENGTH, options=ReadOptions(max_distance=4))
  plain = in_segments((5, 7), LENGTH)
  np.testing.assert_allclose(far[0], plain[0], rtol=1e-6)  # where none is larger
  assert np.abs(far[1] - plain[1]).max() > 1e-4


@pytest.mark.slow
def test_clamping_at_the_largest_distance_changes_nothing():
  plain = in_segments((5, 7), LENGTH)
  np.testing.assert_allclose(in_segments((5, 7), LENGTH, options=ReadOptions(max_distance=LENGTH)), plain, rtol=1e-6)


def test_a_model_without_memory_carries_none():
  model = MODELS["autoregressive"].make(
    event=EventSpec((LENGTH,), K), network=TRUNKS["transformer_xl"](width=8, num_heads=2, memory_length=0)
  )
  assert model.carry is None
  assert MODELS["autoregressive"].make(event=EventSpec((LENGTH,), K), network=TRUNKS["transformer"]()).carry is None


@pytest.mark.slow
def test_in_bfloat16_segments_give_the_whole_to_its_digits():
  model, params = made(dtype="bfloat16")
  assert model.carry.empty(jax.device_put(params), 3, size=LENGTH)["trunk"]["inputs"].dtype == "bfloat16"
  found = in_segments((5, 7), LENGTH, model=model, params=params).sum(axis=0)
  assert 0 < np.abs(found / in_one_pass() - 1).max() < 0.02
