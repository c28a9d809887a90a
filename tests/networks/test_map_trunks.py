"""What is special to the trunks of maps."""

import jax
import jax.numpy as jnp
import numpy as np

from catgen.networks.trunks.linear_attention_unet import mish
from tests.networks.members import BATCH, CLASSES, MAP, build, call, data, perturb


def test_mish_is_x_tanh_softplus_x_with_its_slope():
  x = np.concatenate([np.linspace(-90.0, 90.0, 721), [0.0]])
  squashed = np.tanh(np.logaddexp(0.0, x))
  np.testing.assert_allclose(mish(jnp.asarray(x, jnp.float32)), x * squashed, rtol=1e-6, atol=1e-36)
  slope = squashed + x * (1 - squashed**2) / (1 + np.exp(-x))
  np.testing.assert_allclose(jax.vmap(jax.grad(mish))(jnp.asarray(x, jnp.float32)), slope, rtol=1e-5, atol=1e-6)


def test_patches_tell_all_classes_of_a_position_apart_and_have_logits_of_their_own():
  untrained = build("unet", patch_size=2, num_blocks=2)
  x, time = data(event=MAP)
  logits = call(untrained, (x, time))
  assert logits.shape == (BATCH, *MAP, CLASSES)
  assert not logits.any()
  network = perturb(untrained)
  seen = [call(network, (x.at[:, 1, 2].set(category), time)) for category in range(CLASSES)]
  assert len({float(each[0, 0, 0, 0]) for each in seen}) == CLASSES
  assert len(np.unique(np.asarray(seen[0])[0, :2, :2, 0])) == 4
