"""Likelihoods with context, of a Markov chain of order two whose stream has a probability known exactly."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import scored_positions
from catgen.data.pipeline import context_batches
from catgen.data.splits import stream_split
from catgen.evaluation.likelihood import evaluate
from catgen.interfaces import EventSpec, Model

LENGTH, K, ORDER = 6, 3, 2
RNG = np.random.default_rng(0)
TABLE = np.log(RNG.dirichlet(np.ones(K), (K + 1, K + 1)))  # log p(x | the two before it); K = before the window
STREAM = RNG.integers(0, K, 40)
COVERED = 36  # six sequences; four characters are left over


def log_prob(params, batch, *, state):
  padded = jnp.pad(jnp.where(batch.valid, batch.x, K), ((0, 0), (ORDER, 0)), constant_values=K)
  nats = params[padded[:, :-2], padded[:, 1:-1], batch.x]
  return jnp.where(scored_positions(batch), nats, 0.0).sum(axis=1)


def refuse(*arguments, **keywords):
  raise AssertionError("only log_prob is needed here")


MODEL = Model(EventSpec((LENGTH,), K), refuse, refuse, refuse, log_prob=log_prob)


@functools.cache
def found(context, stream=tuple(STREAM)):
  walk = context_batches(stream_split(np.array(stream), LENGTH), context=context, batch_size=4)
  return evaluate(MODEL, jnp.asarray(TABLE, jnp.float32), {}, walk, key=jax.random.key(0))


def exact(stream):
  """log p of a stream from its start, in float64."""
  padded = np.concatenate([[K, K], stream])
  return TABLE[padded[:-2], padded[1:-1], padded[2:]]


@pytest.mark.parametrize("context", range(ORDER, LENGTH))
def test_windows_with_the_whole_memory_give_the_probability_of_the_stream(context):
  result = found(context)
  assert result.positions.sum() == COVERED
  np.testing.assert_allclose(result.nats.sum(), exact(STREAM[:COVERED]).sum(), rtol=1e-5)
  np.testing.assert_allclose(result.estimate.bits, -exact(STREAM[:COVERED]).sum() / np.log(2) / COVERED, rtol=1e-5)


def test_without_context_each_sequence_stands_alone():
  parts = sum(exact(part).sum() for part in STREAM[:COVERED].reshape(-1, LENGTH))
  np.testing.assert_allclose(found(0).nats.sum(), parts, rtol=1e-5)
  assert abs(parts - found(ORDER).nats.sum()) > 0.1  # the claims above are not empty


def test_less_context_than_memory_is_another_number():
  assert abs(found(1).nats.sum() - found(ORDER).nats.sum()) > 0.01


def test_what_is_context_is_counted_in_no_other_window():
  """A changed category changes the window that scores it and those that read it as the last two before their own."""
  context, place = 3, 20
  changed = STREAM.copy()
  changed[place] = (changed[place] + 1) % K
  difference = exact(changed[:COVERED]) - exact(STREAM[:COVERED])
  step = LENGTH - context
  owner = np.maximum(0, (np.arange(COVERED) - context) // step)  # the window that scores each position
  expected = np.bincount(owner, difference, minlength=len(found(context).numbers))
  moved = found(context, tuple(changed)).nats[0] - found(context).nats[0]
  np.testing.assert_allclose(moved, expected, atol=1e-5)
  assert (np.abs(expected) > 0).sum() < 3
