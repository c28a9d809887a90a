"""Time features, dropout, rotary positions, shifting, the table and the linear layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.kernels.normalization import rotate
from catgen.networks.parts.columns import ColumnHead
from catgen.networks.parts.dropout import dropout
from catgen.networks.parts.embedding import Embedding
from catgen.networks.parts.linear import Linear
from catgen.networks.parts.rotary import rotation_angles
from catgen.networks.parts.shift import shifted
from catgen.networks.parts.time import time_features
from tests.parameters import filled


def test_time_features_are_the_papers():
  time = np.array([0.0, 0.001, 0.5, 1.0])
  features = np.asarray(jax.jit(time_features, static_argnums=1)(time.astype(np.float32), 512))
  for k in (0, 1, 100, 255):
    frequency = np.exp(-k * np.log(1e4) / 255)
    np.testing.assert_allclose(features[:, k], np.sin(4000 * np.float32(time) * frequency), atol=5e-4)
    np.testing.assert_allclose(features[:, 256 + k], np.cos(4000 * np.float32(time) * frequency), atol=5e-4)


def test_dropout_is_each_examples_own_keeps_the_mean_and_has_the_rate():
  keys, x = np.random.default_rng(0).integers(2**32, size=(6, 2), dtype=np.uint32), np.ones((6, 200, 10), np.float32)
  drop = jax.jit(lambda keys, x: dropout(jax.random.wrap_key_data(keys), x, 0.3))
  dropped = np.asarray(drop(keys, x))
  np.testing.assert_array_equal(dropped[4:5], drop(keys[4:5], x[4:5]))
  assert np.abs(np.mean(dropped == 0) - 0.3) < 5 * np.sqrt(0.21 / 12_000)
  np.testing.assert_allclose(np.unique(dropped), [0, 1 / 0.7], rtol=1e-6)
  assert (dropped[0] != dropped[1]).any()
  np.testing.assert_array_equal(jax.jit(lambda x: dropout(jax.random.split(jax.random.key(0), 6), x, 0.0))(x), x)


@pytest.mark.parametrize("event_shape", [(10,), (5, 4), (3, 4, 2)])
def test_rotated_products_depend_on_distances_only(event_shape):
  angles = rotation_angles(event_shape, 12)
  assert angles.shape == (np.prod(event_shape), 6)
  query, key = np.random.default_rng(1).normal(size=(2, 12))
  turn = jax.jit(lambda x: rotate(x, jnp.asarray(np.cos(angles), x.dtype), jnp.asarray(np.sin(angles), x.dtype)))
  same = [np.broadcast_to(x.astype(np.float32), (1, len(angles), 1, 12)) for x in (query, key)]
  turned = [np.asarray(turn(x))[0, :, 0] for x in same]
  scores = turned[0] @ turned[1].T
  coordinates = np.indices(event_shape).reshape(len(event_shape), -1).T
  by_distance: dict[tuple, list] = {}
  for i, j in np.ndindex(scores.shape):
    by_distance.setdefault(tuple(coordinates[i] - coordinates[j]), []).append(scores[i, j])
  assert max(np.ptp(values) for values in by_distance.values()) < 1e-4
  means = np.array([np.mean(values) for values in by_distance.values()])
  assert np.abs(np.subtract.outer(means, means) + np.eye(len(means))).min() > 1e-6  # and tell all distances apart
  np.testing.assert_allclose(np.linalg.norm(turned[0], axis=-1), np.linalg.norm(query), rtol=1e-5)


def test_embedding_looks_up_rows():
  graph, state = nnx.split(nnx.eval_shape(lambda: Embedding(5, 4, key=jax.random.key(0))))
  state, x = filled(state), np.array([[0, 4, 2]])
  rows = jax.jit(lambda state, x: nnx.merge(graph, state)(x))(state, x)
  np.testing.assert_array_equal(rows, jax.tree.leaves(state)[0][x])


def test_linear_is_a_product_with_the_named_initialization():
  layer = Linear(100, 400, init="uniform", rngs=nnx.Rngs(0))
  kernel, bias = np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])
  for values in (kernel, bias):
    assert np.abs(values).max() <= 0.1
    np.testing.assert_allclose(values.std(), 0.1 / np.sqrt(3), rtol=0.1)
  x = np.random.default_rng(0).normal(size=(2, 3, 100)).astype(np.float32)
  np.testing.assert_allclose(jax.jit(layer)(x), x @ kernel + bias, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(np.std(Linear(100, 400, rngs=nnx.Rngs(0)).kernel[...]), 0.1, rtol=0.05)
  assert not np.any(Linear(100, 400, init="zeros", rngs=nnx.Rngs(0)).kernel[...])
  constant = Linear(100, 400, init="constant", rngs=nnx.Rngs(0))
  assert not np.any(constant.kernel[...])
  np.testing.assert_array_equal(constant.bias[...], bias)


def test_shifting_follows_row_major_order():
  x, shift = np.arange(12).reshape(2, 3, 2), jax.jit(shifted, static_argnums=2)
  np.testing.assert_array_equal(shift(x, 99, (3, 2)), [[[99, 0], [1, 2], [3, 4]], [[99, 6], [7, 8], [9, 10]]])
  np.testing.assert_array_equal(shift(x, 99, (3,)), [[[99, 99], [0, 1], [2, 3]], [[99, 99], [6, 7], [8, 9]]])


@pytest.mark.parametrize(
  "sizes",
  [
    pytest.param((2, 3, 1), marks=pytest.mark.slow),
    (2, 40, 3, 2, 1),
    pytest.param((40, 2, 39, 1, 1, 33, 4, 2, 2), marks=pytest.mark.slow),
  ],
)
def test_a_head_of_columns_gives_each_position_the_products_with_its_own_rows(sizes):
  graph, state = nnx.split(ColumnHead(4, sizes, init="normal", rngs=nnx.Rngs(0)))
  h = jax.random.normal(jax.random.key(0), (2, len(sizes), 4))

  def call(state, h):
    head = nnx.merge(graph, state)
    logits = head(h)
    return logits, jnp.stack([head(h[:, d], jnp.int32(d)) for d in range(len(sizes))], axis=1)

  def total(state):
    logits = call(state, h)[0]
    return jnp.where(jnp.isinf(logits), 0.0, logits).sum()

  logits, alone = jax.jit(call)(state, h)
  gradient = jax.jit(jax.grad(total))(state)
  start = 0
  for d, size in enumerate(sizes):
    kernel, bias = (np.float64(state[name].get_value())[start : start + size] for name in ("kernel", "bias"))
    for found in (logits, alone):
      np.testing.assert_allclose(found[:, d, :size], h[:, d] @ kernel.T + bias[None], atol=1e-5)
      assert np.isneginf(found[:, d, size:]).all()
    expected = np.broadcast_to(h[:, d].sum(0), (size, 4))
    np.testing.assert_allclose(gradient["kernel"].get_value()[start : start + size], expected, atol=1e-5)
    start += size
