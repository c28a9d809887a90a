"""Batches: pure functions of (seed, step), equal for any number of processes, each example once per epoch."""

import gc
import threading
import time

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catgen.batches import batch_of, concatenate
from catgen.data.pipeline import eval_batches, prefetch, shuffled, stream_batches, train_batch
from catgen.data.splits import record_split, stream_split
from catgen.interfaces import InputError

SPLIT = stream_split(np.arange(10_007, dtype=np.uint16), 10)  # values tell where they were read
RECORDS = record_split(9, lambda numbers: batch_of(np.zeros((len(numbers), 4), np.int32)))


@pytest.mark.parametrize("crops", [True, False])
@pytest.mark.parametrize("processes", [2, 3, 12])
def test_the_global_batch_does_not_depend_on_the_number_of_processes(crops, processes):
  options = {"seed": 3, "step": 17, "batch_size": 12, "crops": crops}
  whole = train_batch(SPLIT, **options)
  parts = [train_batch(SPLIT, **options, process_index=p, process_count=processes) for p in range(processes)]
  jax.tree.map(np.testing.assert_array_equal, whole, concatenate(parts))
  np.testing.assert_array_equal(whole.index, np.arange(12))


@pytest.mark.parametrize("crops", [True, False])
def test_batches_depend_on_seed_and_step_alone(crops):
  def first(seed, step):
    return train_batch(SPLIT, seed=seed, step=step, batch_size=32, crops=crops).x

  forward = [first(1, step) for step in range(5)]
  backward = [first(1, step) for step in range(4, -1, -1)][::-1]
  np.testing.assert_array_equal(forward, backward)
  assert not np.array_equal(first(1, 0), first(2, 0))
  assert not np.array_equal(first(1, 0), first(1, 1))
  assert first(1, 0).dtype == np.int32


def test_another_version_reads_the_same_batches():
  """So that a run goes on with it where it was: these numbers stay as they are."""
  split, how = stream_split(np.arange(1009), 10), {"seed": 3, "step": 7, "batch_size": 5}
  assert train_batch(split, **how, crops=True).x[:, 0].tolist() == [84, 64, 903, 284, 687]
  assert train_batch(split, **how, crops=False).x[:, 0].tolist() == [970, 140, 130, 760, 190]
  assert shuffled(3, np.arange(20, 32), 24).tolist() == [19, 12, 11, 13, 2, 15, 10, 13, 16, 8, 20, 6]


def test_crops_are_uniform_and_contiguous():
  split = stream_split(np.arange(29, dtype=np.uint8), 10)  # 20 starts
  x = np.concatenate([train_batch(split, seed=0, step=s, batch_size=100, crops=True).x for s in range(100)])
  np.testing.assert_array_equal(np.diff(x, axis=1), 1)
  counts = np.bincount(x[:, 0], minlength=20)
  statistic = ((counts - 500) ** 2 / 500).sum()  # chi-squared with 19 degrees of freedom
  assert counts.size == 20
  assert statistic < 43.8  # exceeded with probability 0.001


@settings(max_examples=25, deadline=None)
@given(most=st.integers(1, 300), batch_size=st.integers(1, 64), seed=st.integers(0, 2**40))
def test_each_example_comes_once_per_epoch(most, batch_size, seed):
  size = min(most, 12 * batch_size)  # no more than 24 batches in two epochs
  split = record_split(size, lambda numbers: batch_of(numbers[:, None].astype(np.int32)))
  steps = -(-2 * size // batch_size)
  batches = [train_batch(split, seed=seed, step=s, batch_size=batch_size, crops=False).x for s in range(steps)]
  numbers = np.concatenate(batches)[: 2 * size].reshape(2, size)
  np.testing.assert_array_equal(np.sort(numbers, axis=1), np.tile(np.arange(size), (2, 1)))


@pytest.mark.parametrize("size", [3, *(pytest.param(size, marks=pytest.mark.slow) for size in (5, 16, 17))])
def test_every_place_of_an_epoch_is_uniform(size):
  epochs = 500
  orders = np.stack([shuffled(5, epoch * size + np.arange(size), size) for epoch in range(epochs)])
  counts = np.stack([np.bincount(column, minlength=size) for column in orders.T])
  statistic = ((counts - epochs / size) ** 2 / (epochs / size)).sum()
  degrees = (size - 1) ** 2
  assert statistic < degrees + 5 * np.sqrt(2 * degrees) + 5


def test_the_order_of_a_large_epoch_has_no_visible_pattern():
  size = 351_562
  order = shuffled(0, np.arange(size), size)
  centered = order - order.mean()
  for lag in (1, 2, 64):
    correlation = (centered[lag:] * centered[:-lag]).mean() / centered.var()
    assert abs(correlation) < 4 / np.sqrt(size)
  assert np.isclose(np.mean(np.diff(order) > 0), 0.5, atol=0.005)


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize(("size", "limit"), [(13, None), (13, 5), (13, 99), (16, None), (1, None)])
def test_evaluation_walks_the_split_once_and_pads(processes, size, limit):
  split = stream_split(np.arange(size * 10 + 3, dtype=np.uint8) + 1, 10)
  walks = [
    list(eval_batches(split, batch_size=8, process_index=p, process_count=processes, limit=limit))
    for p in range(processes)
  ]
  count = min(size, limit or size)
  assert {len(walk) for walk in walks} == {-(-count // 8)}
  x, valid, index, *_ = concatenate(batch for step in zip(*walks, strict=True) for batch in step)
  np.testing.assert_array_equal(index, np.arange(len(index)))
  np.testing.assert_array_equal(valid.all(axis=1), index < count)
  np.testing.assert_array_equal(valid.any(axis=1), index < count)
  np.testing.assert_array_equal(x[:count].ravel(), np.arange(count * 10) + 1)
  assert not x[count:].any()


def test_padding_of_maps_with_labels_is_no_example_and_is_given_nothing():
  maps, labels = np.arange(1, 19, dtype=np.int32).reshape(3, 2, 3), np.array([[0, 1], [1, 0], [0, 0]], np.int32)
  valid = maps != 4
  split = record_split(3, lambda numbers: batch_of(maps[numbers], valid[numbers], given=labels[numbers]), (2, 3))
  x, there, index, _, given, *_ = concatenate(eval_batches(split, batch_size=2))
  np.testing.assert_array_equal(x, [*maps, np.zeros((2, 3))])
  np.testing.assert_array_equal(there, [*valid, np.zeros((2, 3))])
  assert (index.tolist(), given.tolist()) == ([0, 1, 2, 3], [*labels.tolist(), [2, 3]])


def test_padding_does_not_write_into_the_data():
  records = np.ones((3, 4), np.int32)
  split = record_split(3, lambda numbers: batch_of(records[numbers]))
  list(eval_batches(split, batch_size=8))
  assert records.all()


@pytest.mark.parametrize("depth", [0, 1, 4])
def test_prefetched_elements_come_in_order_from_any_start(depth):
  def slow_first(step):
    time.sleep(0.02 if step % 2 else 0)
    return step, np.arange(3)

  assert [step for step, _ in prefetch(slow_first, 7, 19, depth)] == list(range(7, 19))
  assert not list(prefetch(slow_first, 7, 7, depth))


@pytest.mark.parametrize("depth", [0, 3])
def test_errors_come_in_their_turn(depth):
  def function(step):
    if step == 5:
      raise InputError("bad step 5")
    return step

  elements = prefetch(function, 0, 10, depth)
  assert [next(elements) for _ in range(5)] == list(range(5))
  with pytest.raises(InputError, match="bad step 5"):
    next(elements)


@pytest.mark.parametrize("forget", [False, True])
def test_stopping_early_ends_the_threads_soon(forget):
  before = set(threading.enumerate())
  elements = prefetch(lambda step: step, 0, 10**12, 4)
  assert next(elements) == 0
  begin = time.monotonic()
  if forget:
    del elements
    gc.collect()
  else:
    elements.close()
  while set(threading.enumerate()) - before and time.monotonic() - begin < 5:
    time.sleep(0.01)
  assert not set(threading.enumerate()) - before


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda: train_batch(SPLIT, seed=0, step=0, batch_size=10, crops=True, process_count=3), "multiple of the 3"),
    (lambda: train_batch(SPLIT, seed=0, step=0, batch_size=0, crops=True), "batch size 0"),
    (lambda: train_batch(SPLIT, seed=-1, step=0, batch_size=2, crops=True), "seed is -1"),
    (lambda: list(eval_batches(SPLIT, batch_size=3, limit=0)), "limit is 0"),
    (lambda: list(eval_batches(SPLIT, batch_size=3, process_count=2)), "multiple of the 2"),
  ],
)
def test_impossible_requests_are_refused(call, message):
  with pytest.raises(InputError, match=message):
    call()


def labelled(size):
  def read(numbers):
    x = np.tile(numbers[:, None], (1, 2)).astype(np.int32)
    scored = np.tile(np.array([False, True]), (len(numbers), 1))
    return batch_of(x, index=numbers, given=np.stack([numbers % 3, numbers % 4], axis=1))._replace(scored=scored)

  return record_split(size, read, given=(3, 4))


def test_batches_carry_what_is_given_and_scored():
  for crops in (False, True):
    batch = train_batch(labelled(50), seed=1, step=2, batch_size=8, crops=crops)
    np.testing.assert_array_equal(batch.given, np.stack([batch.x[:, 0] % 3, batch.x[:, 0] % 4], axis=1))
    np.testing.assert_array_equal(batch.scored, np.tile([False, True], (8, 1)))


def test_padding_is_given_nothing_and_scores_nothing():
  *_, last = eval_batches(labelled(10), batch_size=8)
  np.testing.assert_array_equal(last.given[:2], [[2, 0], [0, 1]])
  np.testing.assert_array_equal(last.given[2:], np.tile([3, 4], (6, 1)))
  assert last.scored[:2, 1].all()
  assert not last.scored[2:].any()
  assert not last.valid[2:].any()


@pytest.mark.parametrize(("size", "length", "batch_size"), [(47, 4, 3), (40, 8, 1), (25, 5, 5)])
def test_each_place_of_a_batch_reads_a_part_of_its_own_on_and_begins_again_with_all_others(size, length, batch_size):
  split = stream_split(np.arange(size), length)
  per_part = split.num_examples // batch_size
  batches = [
    train_batch(split, seed=9, step=step, batch_size=batch_size, crops=True, streams=True)
    for step in range(2 * per_part)
  ]
  for step, batch in enumerate(batches):
    np.testing.assert_array_equal(batch.index, np.arange(batch_size))
    np.testing.assert_array_equal(batch.continues, np.full(batch_size, step % per_part > 0))
    for before, now in zip(batches[step - 1].x, batch.x, strict=True):
      assert not batch.continues[0] or now[0] == before[-1] + 1
  once = np.stack([batch.x for batch in batches[:per_part]], axis=1).reshape(batch_size, -1)
  np.testing.assert_array_equal(once.ravel(), np.arange(once.size))  # the parts lie one behind the other
  np.testing.assert_array_equal(batches[per_part].x, batches[0].x)


@settings(max_examples=30, deadline=None)
@given(
  size=st.integers(8, 60),
  length=st.integers(2, 8),
  segment=st.integers(0, 8),
  batch_size=st.integers(1, 7),
  limit=st.one_of(st.none(), st.integers(1, 9)),
)
def test_a_walk_that_reads_on_scores_every_position_once_in_parts_that_follow_one_another(
  size, length, segment, batch_size, limit
):
  segment, split = min(segment, length), stream_split(np.arange(size), length)
  covered = min(split.num_examples, limit or split.num_examples) * length
  batches = list(stream_batches(split, segment=segment, batch_size=batch_size, limit=limit))
  x, valid = (np.stack([getattr(batch, name) for batch in batches], axis=1) for name in ("x", "valid"))
  assert x.shape == (batch_size, len(batches), segment or length)
  np.testing.assert_array_equal(x[valid], np.arange(covered))  # part after part, each in order
  for part, known in zip(x.reshape(batch_size, -1), valid.reshape(batch_size, -1), strict=True):
    assert (np.diff(part[known]) == 1).all()
    assert not known[known.sum() :].any()
  assert [batch.continues.tolist() for batch in batches] == [[step > 0] * batch_size for step in range(len(batches))]
  scored = np.concatenate([batch.index[batch.valid.any(axis=1)] for batch in batches])
  assert sorted(scored) == list(range(-(-covered // (segment or length))))


def test_processes_share_streams():
  split = stream_split(np.arange(90), 4)
  for read in (
    lambda **own: [train_batch(split, seed=0, step=7, batch_size=4, crops=False, streams=True, **own)],
    lambda **own: list(stream_batches(split, segment=3, batch_size=4, **own)),
  ):
    parts = [read(process_index=process, process_count=2) for process in range(2)]
    jax.tree.map(np.testing.assert_array_equal, read(), [concatenate(pair) for pair in zip(*parts, strict=True)])


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda: train_batch(RECORDS, seed=0, step=0, batch_size=2, crops=True, streams=True), "streams needs a stream"),
    (lambda: stream_batches(RECORDS, batch_size=2), "a memory needs a stream"),
    (lambda: stream_batches(SPLIT, segment=99, batch_size=2), "segment is 99; it must be 1 to the "),
    (
      lambda: train_batch(SPLIT, seed=0, step=0, batch_size=10**6, crops=True, streams=True),
      "1000000 streams need as many sequences",
    ),
  ],
)
def test_streams_that_cannot_be_are_refused(call, message):
  with pytest.raises(InputError, match=message):
    call()
