"""What is special to the trunks of maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.networks import TRUNKS
from catgen.networks.conditions import NO_CONDITIONS
from catgen.networks.roles import Causal
from catgen.networks.trunks.linear_attention_unet import mish
from tests.networks.members import BATCH, CHANNELS, CLASSES, MAP, Member, at, build, call, data, untrained_part


def test_mish_is_x_tanh_softplus_x_with_its_slope():
  x = np.concatenate([np.linspace(-90.0, 90.0, 721), [0.0]])
  value, found_slope = jax.jit(jax.vmap(jax.value_and_grad(mish)))(x.astype(np.float32))
  squashed = np.tanh(np.logaddexp(0.0, x))
  np.testing.assert_allclose(value, x * squashed, rtol=1e-6, atol=1e-36)
  slope = squashed + x * (1 - squashed**2) / (1 + np.exp(-x))
  np.testing.assert_allclose(found_slope, slope, rtol=1e-5, atol=1e-6)


def test_patches_tell_all_classes_of_a_position_apart_and_have_logits_of_their_own():
  member, sizes = Member("unet", "denoiser"), {"patch_size": 2, "num_blocks": 2}
  network, (x, time) = build(*member, **sizes), data(event=MAP)
  seen = [call(network, (at(x, np.s_[:, 1, 2], category), time)) for category in range(CLASSES)]
  assert len({float(each[0, 0, 0, 0]) for each in seen}) == CLASSES
  assert len(np.unique(seen[0][0, :2, :2, 0])) == 4
  nnx.update(network.stack.trunk.head, untrained_part(lambda whole: nnx.state(whole.stack.trunk.head), member, **sizes))
  logits = call(network, (x, time))
  assert logits.shape == (BATCH, *MAP, CLASSES)
  assert not logits.any()


def test_a_pixel_cnn_has_no_blind_spot():
  """The slopes of a pixel's outputs by all pixels: a plain masked convolution does not see those to the upper right."""
  shape, place = (5, 7), (4, 2)
  network = build("pixel_cnn", "causal_conditioner", event=shape, num_layers=5)
  z = jnp.asarray(np.random.default_rng(3).normal(size=(1, *shape, CHANNELS)).astype(np.float32))
  graph, state = nnx.split(network)
  slopes = jax.jit(jax.jacrev(lambda z, state: nnx.merge(graph, state)(z, NO_CONDITIONS)[0, *place]))(z, state)
  seen = np.abs(slopes).max(axis=(0, 1, -1))
  before = np.arange(35).reshape(shape) < np.ravel_multi_index(place, shape)
  np.testing.assert_array_equal(seen > 0, before)
  assert seen[before].min() > 1e-9


@pytest.mark.parametrize(
  ("width", "num_layers", "size"), [(32, 8, 3), (64, 10, 3), pytest.param(128, 15, 5, marks=pytest.mark.slow)]
)
def test_a_pixel_cnn_has_the_parameters_of_its_windows(width, num_layers, size):
  recipe = TRUNKS["pixel_cnn"](width=width, num_layers=num_layers, size=size)
  network = nnx.eval_shape(lambda: Causal(recipe, (32, 64), 8, 8, rngs=nnx.Rngs(0)))
  half = size // 2 + 1
  windows = 2 * half * size + 2 * half + 2 + 1  # vertical, horizontal, from one to the other, and out
  biases = 7 * width
  ends = 9 * width + (width + 1) * width + (width + 1) * 8
  expected = num_layers * (windows * width**2 + biases) + ends
  assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network))) == expected
  assert expected == {32: 159_048, 64: 787_976, 128: 9_616_776}[width]
