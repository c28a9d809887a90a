"""One draw of every estimator: which are offered, which keys and strata they get, how losses are summed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.evaluation import estimators
from catgen.evaluation.likelihood import evaluate
from catgen.interfaces import Bound, EventSpec, InputError, Model, Profile
from catgen.orders import Orders

LENGTH, K, TIMES = 3, 4, 2
X = np.array([[0, 1, 1], [3, 0, 1], [2, 2, 2], [0, 0, 0], [1, 3, 0]], np.int32)
VALID = np.arange(LENGTH)[None] < np.array([3, 2, 1, 3, 2])[:, None]
KEY = jax.random.key(0)


def uniforms(keys):
  return jax.vmap(jax.random.uniform)(keys)


def bound(params, batch, keys, *, state, train, strata=None):
  """A bound that shows its key and its stratum, and that asks for neither dropout nor state."""
  assert not train
  nats = -uniforms(keys) * jnp.asarray(batch.valid).any(axis=1)
  return Bound(nats, {"key": nats, "strata": 0.0 * strata}, strata)


def full_bound(params, batch, keys, *, state):
  """Position d of time t loses (d + 1) times (t + 1); a whole example their sum."""
  by_position = jnp.broadcast_to(jnp.arange(1.0, LENGTH + 1)[None], batch.x.shape) * 3.0
  each = jnp.where(jnp.asarray(batch.valid), by_position, 0.0).sum(axis=1)
  by_time = jnp.stack([each / 3, 2 * each / 3], axis=1)
  return Bound(-each, {"fit": -each}), Profile(by_time, by_position)


def log_weight(params, batch, keys, *, state):
  return jnp.log(uniforms(keys))


def refuse(*arguments, **keywords):
  raise AssertionError("not needed here")


MODEL = Model(EventSpec((LENGTH,), K), refuse, bound, refuse, log_weight=log_weight, full_bound=full_bound)
EXACT = MODEL._replace(
  log_prob=lambda params, batch, *, state: -1.0 * batch.valid.sum(axis=1),
  orders=Orders(("one",), (), 1, refuse, refuse),
)


def batch(numbers=slice(None)):
  return batch_of(X[numbers], VALID[numbers], index=np.arange(5, dtype=np.int32)[numbers])


def walk(size):
  for first in range(0, 5, size):
    numbers = np.minimum(np.arange(first, first + size), 4)
    inside = (np.arange(first, first + size) < 5)[:, None]
    yield batch_of(X[numbers], VALID[numbers] & inside, index=np.arange(first, first + size, dtype=np.int32))


def found(estimator, model=MODEL, size=2, **settings):
  return evaluate(model, {}, {}, walk(size), key=KEY, estimator=estimator, **settings)


def test_a_model_offers_what_it_has():
  assert estimators.available(MODEL) == ("elbo", "full", "iwbo")
  assert estimators.available(EXACT) == estimators.ESTIMATORS
  assert estimators.available(MODEL._replace(log_weight=None, full_bound=None)) == ("elbo",)
  estimators.check_estimator(MODEL, "iwbo")
  with pytest.raises(InputError, match="needs importance weights"):
    estimators.check_estimator(MODEL._replace(log_weight=None), "iwbo")


def test_strata_of_draws_lie_evenly_around_the_circle():
  strata = jax.jit(jax.vmap(estimators.walk_strata, in_axes=(None, None, 0, None)))
  points = np.asarray(strata(np.float32(0.9), *(np.arange(number, dtype=np.int32) for number in (3, 4)), np.int32(4)))
  around = np.sort(points, axis=0)
  np.testing.assert_allclose(np.diff(around, axis=0), 0.25, atol=1e-6)
  golden = np.arange(3) * (np.sqrt(5) - 1) / 2
  np.testing.assert_allclose(points[0], (0.9 + golden) % 1.0, atol=1e-6)


def test_weights_are_averaged_before_their_logarithm():
  weighted = found("iwbo", num_draws=5, num_replicates=2, draws_at_once=5)
  step, expected, sizes = estimators.compiled(MODEL, "iwbo", 5), [], []
  for replicate in range(2):
    key = jax.random.fold_in(KEY, replicate)
    w = np.exp(np.asarray(step({}, {}, batch(), key, np.arange(5, dtype=np.int32), np.int32(5)).nats, np.float64))
    expected.append(np.log(w.mean(axis=0)))
    sizes.append(w.sum(axis=0) ** 2 / (w**2).sum(axis=0))
  np.testing.assert_allclose(weighted.nats, expected, rtol=1e-5)
  np.testing.assert_allclose(weighted.effective_sample_size, np.median(sizes), rtol=1e-5)


@pytest.mark.parametrize("size", [2, 5])
def test_losses_are_summed_by_time_position_and_category_of_valid_positions(size):
  """Of the last batch the padding counts nothing, so that every size of batch gives one anatomy."""
  result = found("full", size=size, num_replicates=2)
  loss = np.where(VALID, 3.0 * np.arange(1, LENGTH + 1), 0.0)
  anatomy, log2 = result.anatomy, np.log(2)
  np.testing.assert_allclose(anatomy.by_time, np.array([1, 2]) / 3 * loss.sum() / VALID.sum() / log2, rtol=1e-5)
  np.testing.assert_allclose(anatomy.by_position, 3.0 * np.arange(1, LENGTH + 1) / log2, rtol=1e-5)
  counts = np.bincount(X[VALID], minlength=K)
  by_class = np.bincount(X[VALID], loss[VALID], minlength=K) / np.maximum(counts, 1) / log2
  np.testing.assert_allclose(anatomy.by_class, np.where(counts > 0, by_class, np.nan), rtol=1e-5)
  np.testing.assert_array_equal(anatomy.class_counts, counts)
  assert result.estimate.monte_carlo_error == 0.0


def test_examples_without_a_scored_position_are_left_out_and_context_counts_no_position():
  scored = np.ones_like(VALID)
  scored[0], scored[1, 0] = False, False
  part = batch()._replace(scored=scored)
  result = evaluate(EXACT, {}, {}, [part], key=KEY)
  np.testing.assert_array_equal(result.numbers, [1, 2, 3, 4])
  np.testing.assert_array_equal(result.positions, (VALID & scored).sum(axis=1)[1:])
  nats = -VALID.sum(axis=1)[1:]  # what the model says of the examples that are left
  np.testing.assert_allclose(result.estimate.bits, -nats.sum() / np.log(2) / (VALID & scored).sum(), rtol=1e-6)


def test_numbers_in_any_order_come_back_ascending_with_their_own_scores():
  parts = list(walk(2))[::-1]
  turned = evaluate(EXACT, {}, {}, parts, key=KEY)
  np.testing.assert_array_equal(turned.numbers, np.arange(5))
  np.testing.assert_array_equal(turned.nats[0], -VALID.sum(axis=1))
  assert turned.num_draws == turned.num_replicates == 1
