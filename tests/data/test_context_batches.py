"""Windows with context: every position of a stream is scored once, after the positions that stand before it."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catgen.batches import batch_of, concatenate, scored_positions
from catgen.data.pipeline import context_batches, eval_batches
from catgen.data.splits import record_split, stream_split
from catgen.interfaces import InputError


def windows(size, length, context, batch_size=4, **options):
  split = stream_split(np.arange(size, dtype=np.uint16), length)  # values tell where they were read
  return split, concatenate(context_batches(split, context=context, batch_size=batch_size, **options))


@settings(max_examples=50, deadline=None)
@given(
  length=st.integers(2, 12),
  context=st.integers(1, 11),
  extra=st.integers(0, 40),
  batch_size=st.integers(1, 9),
  limit=st.one_of(st.none(), st.integers(1, 9)),
)
def test_every_position_is_scored_once_right_after_its_context(length, context, extra, batch_size, limit):
  context = min(context, length - 1)
  split, batch = windows(length + extra, length, context, batch_size, limit=limit)
  scored = scored_positions(batch)
  np.testing.assert_array_equal(batch.scored if context else scored, scored)  # none that is not valid
  covered = min(split.num_examples, limit or split.num_examples) * length
  np.testing.assert_array_equal(batch.x[scored], np.arange(covered))
  for number, (x, valid, own) in enumerate(zip(batch.x, batch.valid, scored, strict=True)):
    if own.any():
      assert (np.diff(x[valid]) == 1).all()  # one unbroken piece of the stream
      assert (own == (valid & (np.arange(length) >= (context if number else 0)))).all()
    else:
      assert not valid.any()  # padding of the last batch


@pytest.mark.parametrize("limit", [None, 3])
def test_no_context_gives_the_batches_of_every_evaluation(limit):
  split = stream_split(np.arange(83), 10)
  plain, none = (
    list(walk)
    for walk in (
      eval_batches(split, batch_size=4, limit=limit),
      context_batches(split, context=0, batch_size=4, limit=limit),
    )
  )
  assert jax.tree.structure(plain) == jax.tree.structure(none)
  jax.tree.map(np.testing.assert_array_equal, plain, none)


def test_processes_share_the_windows():
  _, whole = windows(100, 8, 5)
  parts = [
    list(context_batches(stream_split(np.arange(100, dtype=np.uint16), 8), context=5, batch_size=4, process_index=p,
                         process_count=2))
    for p in range(2)
  ]  # fmt: skip
  jax.tree.map(np.testing.assert_array_equal, whole, concatenate(b for step in zip(*parts, strict=True) for b in step))


@pytest.mark.parametrize(
  ("split", "context", "message"),
  [
    (record_split(9, lambda n: batch_of(np.zeros((len(n), 4), np.int32))), 1, "separate records .* set it to 0"),
    (stream_split(np.arange(40), 4), 4, "context is 4; it must be 0 to 3"),
    (stream_split(np.arange(40), 4), -1, "context is -1; it must be 0 to 3"),
  ],
)
def test_what_cannot_be_is_refused_at_once(split, context, message):
  with pytest.raises(InputError, match=message):
    context_batches(split, context=context, batch_size=2)
