"""What is special to the trunks of maps."""

import jax
import numpy as np
from flax import nnx

from catgen.networks.trunks.linear_attention_unet import mish
from tests.networks.members import BATCH, CLASSES, MAP, Member, at, build, call, data, untrained_part


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
