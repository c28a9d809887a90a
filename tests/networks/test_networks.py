"""What every network promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.interfaces import InputError
from catgen.networks import NETWORKS
from tests.networks.perturbed import BATCH, CLASSES, EVENT, MAP_SIZES, SIZES, build, call, data, gradient, perturb

CONV = [(kind, {}) for kind in SIZES] + [("transformer", {"conv_width": 3}), ("causal_transformer", {"conv_width": 2})]


def test_every_network_is_tested():
  assert set(SIZES | MAP_SIZES) == set(NETWORKS)


@pytest.mark.parametrize("kind", SIZES)
def test_a_network_holds_parameters_and_nothing_else(kind):
  _, parameters, rest = nnx.split(build(kind), nnx.Param, ...)
  assert not jax.tree.leaves(rest)
  assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(parameters))


@pytest.mark.parametrize("kind", SIZES)
def test_untrained_logits_are_zero_and_float32(kind):
  for dtype in ("float32", "bfloat16"):
    logits = call(kind, build(kind, dtype=dtype), *data())
    assert logits.dtype == jnp.float32
    assert logits.shape == (BATCH, *EVENT, CLASSES)
    assert not logits.any()


@pytest.mark.parametrize(("kind", "sizes"), CONV)
def test_padding_never_reaches_valid_positions(kind, sizes):
  network = perturb(build(kind, **sizes))
  x, time = data()
  valid = jnp.ones((BATCH, *EVENT), bool).at[0, 5:].set(False).at[1, 3].set(False).at[2].set(False)
  logits = call(kind, network, x, time, valid=valid)
  other = call(kind, network, jnp.where(valid, x, (x + 1) % CLASSES), time, valid=valid)
  np.testing.assert_array_equal(np.where(valid[..., None], logits, 0), np.where(valid[..., None], other, 0))
  assert np.isfinite(logits).all()
  unpadded = call(kind, network, x, time)
  assert np.abs(unpadded - logits)[1, 4:].max() > 1e-3
  np.testing.assert_allclose(call(kind, network, x, time, valid=jnp.ones_like(valid)), unpadded, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["transformer", "causal_transformer"])
def test_padding_equals_a_shorter_sequence(kind):
  x, time = data()
  short = call(kind, perturb(build(kind, event_shape=(5,))), x[:, :5], time)
  padded = call(kind, perturb(build(kind)), x, time, valid=jnp.broadcast_to((jnp.arange(8) < 5)[None], x.shape))
  np.testing.assert_allclose(padded[:, :5], short, atol=1e-5)


@pytest.mark.parametrize(("kind", "sizes"), CONV)
def test_every_parameter_has_a_finite_gradient_that_is_somewhere_not_zero(kind, sizes):
  for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(kind, perturb(build(kind, **sizes)), *data())[1]):
    assert np.isfinite(leaf).all(), path
    assert np.abs(leaf).max() > 0, path


@pytest.mark.parametrize("kind", SIZES)
def test_an_all_padding_batch_has_finite_gradients(kind):
  x, time = data()
  found = gradient(kind, perturb(build(kind)), x, time, valid=jnp.zeros(x.shape, bool))[1]
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize("kind", SIZES)
def test_bfloat16_is_close_to_float32(kind):
  exact = call(kind, perturb(build(kind), 0.1), *data())
  coarse = call(kind, perturb(build(kind, dtype="bfloat16"), 0.1), *data())
  difference = np.sqrt(np.mean(np.square(exact - coarse)))
  assert 0 < difference < 0.03 * np.std(exact)


@pytest.mark.parametrize("kind", SIZES)
def test_an_event_of_two_axes_keeps_its_shape(kind):
  x, time = data((4, 2))
  assert call(kind, build(kind, event_shape=(4, 2)), x, time).shape == (BATCH, 4, 2, CLASSES)


@pytest.mark.parametrize("kind", ["transformer", "local_linear_transformer"])
def test_denoisers_depend_on_time_and_on_every_position(kind):
  network = perturb(build(kind))
  x, time = data()
  logits = call(kind, network, x, time)
  assert np.abs(call(kind, network, x, time + 0.05) - logits).max(axis=(1, 2)).min() > 1e-3
  for position in range(EVENT[0]):
    changed = call(kind, network, x.at[:, position].set((x[:, position] + 1) % CLASSES), time)
    assert np.abs(changed - logits).max(axis=(0, 2)).min() > 1e-6


@pytest.mark.parametrize("kind", ["transformer", "causal_transformer"])
def test_scanned_and_rematerialized_layers_compute_the_same(kind):
  loop = perturb(build(kind))
  value, slopes = gradient(kind, loop, *data())
  for other, parameters, expected in (
    (build(kind, remat=True), nnx.to_pure_dict(nnx.state(loop)), slopes),
    (build(kind, remat=True, scan_layers=True), stack(nnx.to_pure_dict(nnx.state(loop))), stack(slopes)),
  ):
    again, same = gradient(kind, with_parameters(other, parameters), *data())
    np.testing.assert_allclose(again, value, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), same, expected)


def test_scanned_layers_drop_the_same_activations():
  loop = perturb(build("transformer", dropout=0.2))
  scanned = build("transformer", dropout=0.2, scan_layers=True)
  scanned = with_parameters(scanned, stack(nnx.to_pure_dict(nnx.state(loop))))
  keys = jax.random.split(jax.random.key(3), BATCH)
  logits = [call("transformer", network, *data(), keys=keys) for network in (loop, scanned)]
  np.testing.assert_allclose(*logits, atol=1e-5)


def with_parameters(network, parameters):
  state = nnx.state(network)
  nnx.replace_by_pure_dict(state, parameters)
  nnx.update(network, state)
  return network


def stack(parameters):
  """Returns the parameters of a loop of layers in the form of scanned ones."""
  blocks = parameters["layers"]["blocks"]
  stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *(blocks[i] for i in sorted(blocks)))
  return {**parameters, "layers": {"blocks": stacked}}


def test_scanned_layers_start_differently():
  kernel = build("transformer", scan_layers=True).layers.blocks.mlp.gate.kernel[...]
  assert kernel.shape[0] == 2
  assert np.abs(kernel[0] - kernel[1]).min() > 0


@pytest.mark.parametrize("kind", ["transformer", "causal_transformer"])
def test_dropout_treats_an_example_alike_in_any_batch(kind):
  network = perturb(build(kind, dropout=0.5))
  x, time = data()
  keys = jax.random.split(jax.random.key(3), BATCH)
  together = call(kind, network, x, time, keys=keys)
  for i in range(BATCH):
    alone = call(kind, network, x[i : i + 1], time[i : i + 1], keys=keys[i : i + 1])
    np.testing.assert_allclose(together[i : i + 1], alone, atol=1e-5)
  assert np.abs(together - call(kind, network, x, time)).max() > 1e-2
  np.testing.assert_array_equal(call(kind, build(kind), x, time), call(kind, build(kind), x, time, keys=keys))


@pytest.mark.parametrize(
  ("kind", "sizes", "named"),
  [
    ("local_linear_transformer", {"window": 3}, "window 3"),
    ("local_linear_transformer", {"num_heads": 3}, "num_heads"),
    ("transformer", {"num_heads": 3}, "num_heads 3"),
    ("transformer", {"num_heads": 16}, "head size"),
    ("transformer", {"dtype": "float16"}, "float16"),
    ("transformer", {"conv_width": 2}, "conv_width"),
    ("transformer", {"time_width": 7}, "time_width"),
    ("causal_transformer", {"dropout": 1.0}, "dropout"),
    ("causal_transformer", {"event_shape": (2, 2, 2, 2, 2)}, "head size"),
  ],
)
def test_sizes_that_do_not_fit_are_named(kind, sizes, named):
  with pytest.raises(InputError, match=named):
    build(kind, **sizes)
