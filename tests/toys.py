"""Two small models and their data, by hand, for tests of what should work with any `Model`.

`denoiser` has a state (a history of its losses by noise level, which weights its bound) and `update_state`;
`markov` has neither. Both use their keys and their strata.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from catgen.interfaces import Batch, Bound, EventSpec, Model, Samples

EVENT = EventSpec((8,), 5)
HIDDEN, BINS = 16, 4


def batches(
  start_step: int = 0, *, batch_size: int = 16, event: EventSpec = EVENT, process: int = 0, processes: int = 1
) -> Iterator[Batch]:
  """Yields host batches for ever: rising sequences with some noise, some padded. A pure function of the step."""
  step, local = start_step, batch_size // processes
  rows = slice(process * local, (process + 1) * local)
  while True:
    rng = np.random.default_rng((17, step))
    start = rng.integers(event.num_classes, size=(batch_size, 1))
    x = (
      start + np.arange(event.shape[0])[None, :] + (rng.random((batch_size, *event.shape)) < 0.1)
    ) % event.num_classes
    valid = np.arange(event.shape[0])[None, :] < rng.integers(4, event.shape[0] + 1, size=(batch_size, 1))
    yield Batch(x[rows].astype(np.int32), valid[rows], np.arange(batch_size, dtype=np.int32)[rows])
    step += 1


def first_batch(**keywords) -> Batch:
  return next(batches(**keywords))


def denoiser(event: EventSpec = EVENT) -> Model:
  """Predicts x from x with a fraction of positions redrawn; the fraction is the example's stratum."""
  classes = event.num_classes

  def init(batch, key):
    first, last, table = jax.random.split(key, 3)
    params = {
      "embedding": {"table": 0.1 * jax.random.normal(table, (event.shape[0], HIDDEN))},
      "layer": {"kernel": jax.random.normal(first, (classes, HIDDEN)) / classes**0.5, "bias": jnp.zeros(HIDDEN)},
      "head": {"kernel": 0.1 * jax.random.normal(last, (HIDDEN, classes))},
    }
    return params, {"history": jnp.ones(BINS)}

  def redraw(key, x, level):
    which, what = jax.random.split(key)
    other = jax.random.randint(what, x.shape, 0, classes)
    return jnp.where(jax.random.uniform(which, x.shape) < level, other, x)

  def bound(params, batch, keys, *, state, train, strata=None):
    level = jax.vmap(jax.random.uniform)(keys) if strata is None else strata
    corrupted = jax.vmap(redraw)(keys, batch.x, level)
    hidden = jax.nn.one_hot(corrupted, classes) @ params["layer"]["kernel"] + params["layer"]["bias"][None, None, :]
    logits = jnp.tanh(hidden + params["embedding"]["table"][None]) @ params["head"]["kernel"]
    log_probs = jnp.take_along_axis(jax.nn.log_softmax(logits), batch.x[..., None], -1)[..., 0]
    prediction = jnp.where(batch.valid, log_probs, 0.0).sum(axis=1)
    slot = jnp.minimum((level * BINS).astype(jnp.int32), BINS - 1)
    penalty = -0.1 * jnp.abs(state["history"][slot]) * jnp.square(params["layer"]["bias"] + 0.1).sum()
    terms = {"prediction": prediction, "penalty": penalty}
    return Bound(prediction + penalty, terms, {"slot": slot, "loss": -prediction})

  def update_state(state, statistics, valid):
    member = jax.nn.one_hot(statistics["slot"], BINS) * valid[:, None]
    count = member.sum(axis=0)
    mean = (member * statistics["loss"][:, None]).sum(axis=0) / jnp.maximum(count, 1.0)
    return {"history": jnp.where(count > 0, 0.9 * state["history"] + 0.1 * mean, state["history"])}

  def sample(params, keys, *, given=None, state, options):
    x = jax.vmap(lambda key: jax.random.randint(key, event.shape, 0, classes))(keys)
    return Samples(x, jnp.ones(x.shape, bool))

  return Model(event, init, bound, sample, update_state)


def markov(event: EventSpec = EVENT) -> Model:
  """Predicts each symbol from the one before, through a hidden layer with key-dependent dropout."""
  classes = event.num_classes

  def init(batch, key):
    first, last = jax.random.split(key)
    kernel = jax.random.normal(first, (2, classes, HIDDEN)) / classes**0.5
    return {"layers": {"kernel": kernel}, "head": {"kernel": 0.1 * jax.random.normal(last, (HIDDEN, classes))}}, {}

  def bound(params, batch, keys, *, state, train, strata=None):
    before = jnp.pad(batch.x[:, :-1], ((0, 0), (1, 0)))
    shift = jnp.zeros(len(batch.x)) if strata is None else 0.1 * (strata - 0.5)
    inputs = jax.nn.one_hot(before, classes)
    hidden = jnp.tanh(inputs @ params["layers"]["kernel"][0]) * jax.nn.sigmoid(inputs @ params["layers"]["kernel"][1])
    if train:
      keep = jax.vmap(lambda key: jax.random.bernoulli(key, 0.9, (HIDDEN,)))(keys)
      hidden = hidden * keep[:, None, :]
    logits = (hidden + shift[:, None, None]) @ params["head"]["kernel"]
    log_probs = jnp.take_along_axis(jax.nn.log_softmax(logits), batch.x[..., None], -1)[..., 0]
    nats = jnp.where(batch.valid, log_probs, 0.0).sum(axis=1)
    return Bound(nats, {"log_prob": nats})

  def sample(params, keys, *, given=None, state, options):
    x = jax.vmap(lambda key: jax.random.randint(key, event.shape, 0, classes))(keys)
    return Samples(x, jnp.ones(x.shape, bool))

  return Model(event, init, bound, sample)


MODELS = {"denoiser": denoiser, "markov": markov}
