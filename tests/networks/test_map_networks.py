"""What every network of maps promises, and what is special to each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catgen.networks.linear_attention_unet import mish
from flax import nnx

from catgen.interfaces import InputError
from tests.networks.perturbed import BATCH, CLASSES, MAP, MAP_SIZES, build, call, data, gradient, perturb

KINDS = [*((kind, {}) for kind in MAP_SIZES), ("unet", {"patch_size": 2, "num_blocks": 2})]


def different(a, b):
  return np.abs(np.asarray(a) - np.asarray(b)).max(axis=-1)


@pytest.mark.parametrize(("kind", "sizes"), KINDS)
def test_logits_are_float32_and_hold_parameters_only(kind, sizes):
  for dtype in ("float32", "bfloat16"):
    network = build(kind, dtype=dtype, **sizes)
    _, parameters, rest = nnx.split(network, nnx.Param, ...)
    assert not jax.tree.leaves(rest)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(parameters))
    logits = call(kind, network, *data(MAP))
    assert logits.dtype == jnp.float32
    assert logits.shape == (BATCH, *MAP, CLASSES)
    assert (kind == "unet") == (not logits.any())  # the paper's starts with random logits


@pytest.mark.parametrize(("kind", "sizes"), KINDS)
def test_what_an_invalid_position_holds_is_not_read(kind, sizes):
  network, (x, time) = perturb(build(kind, **sizes)), data(MAP)
  valid = jnp.ones(x.shape, bool).at[0, 2:].set(False).at[1, 1, 3].set(False).at[2].set(False)
  logits = call(kind, network, x, time, valid=valid)
  other = call(kind, network, jnp.where(valid, x, (x + 1) % CLASSES), time, valid=valid)
  np.testing.assert_array_equal(logits, other)
  np.testing.assert_allclose(call(kind, network, x, time, valid=jnp.ones_like(valid)), call(kind, network, x, time))


@pytest.mark.parametrize(("kind", "sizes"), KINDS)
def test_every_parameter_has_a_finite_gradient_that_is_somewhere_not_zero(kind, sizes):
  for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(kind, perturb(build(kind, **sizes)), *data(MAP))[1]):
    assert np.isfinite(leaf).all(), path
    assert np.abs(leaf).max() > 0, path


@pytest.mark.parametrize(("kind", "sizes"), KINDS)
def test_every_position_reaches_every_other_and_time_reaches_all(kind, sizes):
  network, (x, time) = perturb(build(kind, **sizes)), data(MAP)
  logits = call(kind, network, x, time)
  assert different(call(kind, network, x, time + 0.05), logits).min() > 1e-5
  for place in ((0, 0), (1, 5), (3, 7)):
    at = (slice(None), *place)
    assert different(call(kind, network, x.at[at].set((x[at] + 1) % CLASSES), time), logits).min() > 0


@pytest.mark.parametrize(("kind", "sizes"), KINDS)
def test_bfloat16_is_close_to_float32(kind, sizes):
  exact = call(kind, perturb(build(kind, **sizes), 0.05), *data(MAP))
  coarse = call(kind, perturb(build(kind, dtype="bfloat16", **sizes), 0.05), *data(MAP))
  difference = np.sqrt(np.mean(np.square(exact - coarse)))
  assert 0 < difference < 0.03 * np.std(exact)


@pytest.mark.parametrize(("kind", "sizes"), KINDS)
def test_dropout_treats_an_example_alike_in_any_batch(kind, sizes):
  network, (x, time) = perturb(build(kind, **{**sizes, "dropout": 0.5})), data(MAP)
  keys = jax.random.split(jax.random.key(3), BATCH)
  together = call(kind, network, x, time, keys=keys)
  for i in range(BATCH):
    alone = call(kind, network, x[i : i + 1], time[i : i + 1], keys=keys[i : i + 1])
    np.testing.assert_allclose(together[i : i + 1], alone, rtol=1e-4, atol=1e-4)
  assert np.abs(together - call(kind, network, x, time)).max() > 1e-2


def test_mish_is_x_tanh_softplus_x_with_its_slope():
  x = np.concatenate([np.linspace(-90.0, 90.0, 721), [0.0]])
  squashed = np.tanh(np.logaddexp(0.0, x))
  np.testing.assert_allclose(mish(jnp.asarray(x, jnp.float32)), x * squashed, rtol=1e-6, atol=1e-36)
  slope = squashed + x * (1 - squashed**2) / (1 + np.exp(-x))
  np.testing.assert_allclose(jax.vmap(jax.grad(mish))(jnp.asarray(x, jnp.float32)), slope, rtol=1e-5, atol=1e-6)


def test_patches_of_one_position_tell_all_classes_apart():
  network, (x, time) = perturb(build("unet", patch_size=2)), data(MAP)
  seen = [call("unet", network, x.at[:, 1, 2].set(category), time)[0, 0, 0, 0] for category in range(CLASSES)]
  assert len(set(map(float, seen))) == CLASSES


@pytest.mark.parametrize(
  ("kind", "sizes", "named"),
  [
    ("unet", {"event_shape": (8,)}, "needs maps"),
    ("unet", {"event_shape": (5, 8)}, "multiples of 2"),
    ("unet", {"patch_size": 2, "event_shape": (6, 8)}, "multiples of 4"),
    ("unet", {"widths": (8, 18), "num_heads": 4}, "num_heads 4"),
    ("unet", {"dtype": "float16"}, "float16"),
    ("linear_attention_unet", {"width": 12}, "multiple of 8"),
    ("linear_attention_unet", {"event_shape": (3, 8)}, "multiples of 2"),
  ],
)
def test_sizes_that_do_not_fit_are_named(kind, sizes, named):
  with pytest.raises(InputError, match=named):
    build(kind, **sizes)
