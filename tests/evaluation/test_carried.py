"""Likelihoods of streams that are read on with a memory: of a model that counts, whose numbers are known exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import scored_positions
from catgen.data.pipeline import eval_batches, stream_batches
from catgen.data.splits import stream_split
from catgen.evaluation.estimators import Carried
from catgen.evaluation.likelihood import evaluate
from catgen.evaluation.spread import ALONE, Spread
from catgen.interfaces import Bound, EventSpec, InputError, Model, ReadOptions
from catgen.memories import Carry
from catgen.meshes import BATCH_AXES
from catgen.training.sharding import make_mesh

LENGTH, K, COVERED = 6, 4, 36  # six sequences; four characters are left over
STREAM = np.random.default_rng(0).choice(K, 40, p=[0.7, 0.1, 0.1, 0.1])


def log_probs(x, valid, counts):
  """Returns log p by counts of the categories before, plus one, [batch, length], and the counts after all."""
  ones = jax.nn.one_hot(x, K) * valid[..., None]
  before = counts[:, None] + jnp.cumsum(ones, axis=1) - ones
  own = jnp.take_along_axis(before, x[..., None], axis=-1)[..., 0]
  return jnp.log((own + 1) / (before.sum(axis=-1) + K)), counts + ones.sum(axis=1)


def log_prob(params, batch, *, state):
  nats, _ = log_probs(batch.x, batch.valid, jnp.zeros((len(batch.x), K)))
  return jnp.where(scored_positions(batch), nats, 0.0).sum(axis=1)


def bound(params, batch, memory, keys, *, state, train, strata=None, options):
  """Counts on from the counts that the memory holds."""
  nats, counts = log_probs(batch.x, batch.valid, memory["counts"])
  nats = jnp.where(scored_positions(batch), nats, 0.0).sum(axis=1)
  return Bound(nats, {"log_prob": nats}), {"counts": counts}


def empty(params, batch_size, *, size=None):
  return {"counts": jnp.zeros((batch_size, K))}


def refuse(*arguments, **keywords):
  raise AssertionError("only log_prob and what is carried are needed here")


PLAIN = Model(EventSpec((LENGTH,), K), refuse, refuse, refuse, log_prob=log_prob)
MODEL = PLAIN._replace(carry=Carry(empty, bound))
CARRIED = Carried(3, ReadOptions())


def exact(stream):
  """Returns log p of each character of a stream by counts from its start, in float64."""
  seen = np.stack([np.bincount(stream[:i], minlength=K) for i in range(len(stream))])
  return np.log((seen[np.arange(len(stream)), stream] + 1) / (seen.sum(axis=1) + K))


def found(segment, streams, spread=ALONE, **how):
  split = stream_split(STREAM, LENGTH)
  walk = stream_batches(split, segment=segment, batch_size=streams)
  return evaluate(MODEL, {}, {}, walk, key=jax.random.key(0), carried=CARRIED, spread=spread, **how)


@pytest.mark.parametrize(("segment", "streams"), [(0, 1), (5, 1), (2, 3), (0, 4), (5, 3)])
def test_each_part_of_a_stream_has_its_probability_from_its_own_beginning(segment, streams):
  result, width = found(segment, streams), segment or LENGTH
  count = -(-COVERED // width)
  per_part = -(-count // streams) * width
  parts = [exact(STREAM[start : min(start + per_part, COVERED)]) for start in range(0, COVERED, per_part)]
  by_segment = [part[start : start + width].sum() for part in parts for start in range(0, len(part), width)]
  assert result.positions.sum() == COVERED
  np.testing.assert_array_equal(result.numbers, np.arange(count))
  np.testing.assert_allclose(result.nats[0], by_segment, rtol=1e-5)
  np.testing.assert_allclose(result.estimate.bits, -sum(map(np.sum, parts)) / np.log(2) / COVERED, rtol=1e-5)


def test_it_is_another_number_than_that_of_examples_by_themselves():
  alone = evaluate(MODEL, {}, {}, eval_batches(stream_split(STREAM, LENGTH), batch_size=4), key=jax.random.key(0))
  assert abs(alone.nats.sum() - found(0, 1).nats.sum()) > 1.0


def test_devices_share_the_streams_and_keep_their_memories():
  spread = Spread(make_mesh(devices=jax.devices()[:2]), BATCH_AXES)
  np.testing.assert_allclose(found(2, 4, spread).nats, found(2, 4).nats, rtol=1e-6)


def test_what_cannot_be_carried_is_refused():
  walk = stream_batches(stream_split(STREAM, LENGTH), batch_size=2)
  with pytest.raises(InputError, match=r"carries no memory .* leave --memory out"):
    evaluate(PLAIN, {}, {}, walk, key=jax.random.key(0), carried=CARRIED)
  with pytest.raises(InputError, match='with a memory the estimator is "exact"'):
    found(0, 2, estimator="elbo")
  with pytest.raises(ValueError, match="begin again"):
    found(0, 2, done=[None])
