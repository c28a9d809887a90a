"""Eight devices against one: the same scores, and the same draws bit by bit, also of fewer examples than devices."""

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from catgen.batches import batch_of
from catgen.evaluation import infilling, likelihood, samples, spelling
from catgen.evaluation.spread import ALONE, Spread, fetch
from tests.evaluation.mixtures import make_parameters, mixture, walk

LENGTH, CLASSES, EXAMPLES = 5, 4, 7
KEY, RNG = jax.random.key(3), np.random.default_rng(0)
PARAMS = make_parameters(RNG, num_components=3, num_classes=CLASSES)
X = RNG.integers(0, CLASSES, (EXAMPLES, LENGTH)).astype(np.int32)
VALID = np.arange(LENGTH)[None] < RNG.integers(1, LENGTH + 1, EXAMPLES)[:, None]
MODEL = mixture(LENGTH, CLASSES)


@pytest.fixture(scope="module")
def eight():
  """Eight devices in two rows: examples are spread over both axes of the mesh."""
  mesh = jax.make_mesh((4, 2), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)
  return Spread(mesh, ("data", "fsdp"))


@pytest.fixture(scope="module")
def shared(eight):
  """The parameters on all eight devices."""
  return jax.device_put(PARAMS, NamedSharding(eight.mesh, PartitionSpec()))


@pytest.mark.parametrize(("number", "filled"), [(1, 8), (7, 8), (8, 8), (9, 16), (0, 0), (-3, -3)])
def test_a_batch_is_filled_up_to_a_multiple_of_the_devices(eight, number, filled):
  assert eight.filled(number) == filled
  assert ALONE.filled(number) == number


def test_the_last_example_fills_up(eight):
  assert eight.numbers(8, 13).tolist() == [8, 9, 10, 11, 12, 12, 12, 12]
  assert ALONE.numbers(8, 13).tolist() == [8, 9, 10, 11, 12]


def test_each_device_holds_its_examples_and_all_of_the_result(eight):
  x = np.arange(16, dtype=np.int32).reshape(8, 2)
  placed = eight.put(x)
  assert [shard.data.tolist() for shard in placed.addressable_shards] == x[:, None].tolist()
  doubled = eight.compiled(lambda each: 2 * each)(placed)
  assert all(shard.data.shape == (8, 2) for shard in doubled.addressable_shards)
  np.testing.assert_array_equal(fetch(doubled), 2 * x)


@pytest.mark.parametrize(
  "estimator", ["exact", "full", *(pytest.param(each, marks=pytest.mark.slow) for each in ("elbo", "iwbo"))]
)
def test_seven_examples_score_on_eight_devices_as_on_one(eight, shared, estimator):
  how = {"key": KEY, "estimator": estimator, "num_draws": 2, "num_replicates": 2}
  one = likelihood.evaluate(MODEL, PARAMS, {}, walk(X, VALID, EXAMPLES), **how)
  many = likelihood.evaluate(MODEL, shared, {}, walk(X, VALID, 8), spread=eight, **how)
  assert many.numbers.tolist() == list(range(EXAMPLES))
  np.testing.assert_array_equal(many.positions, one.positions)
  np.testing.assert_allclose(many.nats, one.nats, rtol=2e-6, atol=1e-6)
  assert many.estimate.bits == pytest.approx(one.estimate.bits, rel=1e-6)
  assert many.terms == pytest.approx(one.terms, rel=1e-5)
  if one.anatomy is not None:
    np.testing.assert_array_equal(many.anatomy.class_counts, one.anatomy.class_counts)
    np.testing.assert_allclose(many.anatomy.by_position, one.anatomy.by_position, rtol=1e-5)


def test_seven_samples_are_the_same_bit_by_bit(eight, shared):
  how = {"num_samples": EXAMPLES, "batch_size": 64, "key": KEY}
  one = samples.generate(MODEL, PARAMS, {}, **how)
  many = samples.generate(MODEL, shared, {}, spread=eight, **how)
  assert many.x.shape == (EXAMPLES, LENGTH)
  jax.tree.map(np.testing.assert_array_equal, many, one)


@pytest.mark.slow
def test_a_sampler_that_is_stopped_leaves_what_it_has_drawn(eight, shared):
  how = {"num_samples": 20, "batch_size": 3, "key": KEY, "spread": eight}
  stopped = samples.generate(MODEL, shared, {}, stop=lambda: True, **how)
  np.testing.assert_array_equal(stopped.x, samples.generate(MODEL, shared, {}, **how).x[:8])


def test_seven_completions_are_the_same_bit_by_bit(eight, shared):
  observed = np.array([True, False, True, False, False])
  how = {"key": KEY, "num_samples": EXAMPLES}
  one = infilling.infill(MODEL, PARAMS, {}, X[0], observed, **how)
  many = infilling.infill(MODEL, shared, {}, X[0], observed, spread=eight, **how)
  np.testing.assert_array_equal(many.x, one.x)


@pytest.mark.parametrize("method", ["bayes", pytest.param("paper", marks=pytest.mark.slow)])
def test_corrections_are_the_same(eight, shared, method):
  typed = batch_of(X, VALID)
  one = spelling.correct(MODEL, PARAMS, {}, typed, 0.2, method=method)
  many = spelling.correct(MODEL, shared, {}, typed, 0.2, method=method, spread=eight)
  np.testing.assert_array_equal(many.x, one.x)
  np.testing.assert_allclose(many.probability, one.probability, rtol=1e-6)
