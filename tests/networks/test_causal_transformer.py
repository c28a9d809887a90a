"""The causal network: what it may see, and decoding from a cache."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.networks.perturbed import BATCH, CLASSES, build, call, data, perturb

KIND = "causal_transformer"


@pytest.mark.parametrize("sizes", [{}, {"conv_width": 3}, {"event_shape": (4, 2)}])
def test_logits_depend_on_earlier_positions_only_and_on_all_of_them(sizes):
  network = perturb(build(KIND, **sizes))
  x, time = data(sizes.get("event_shape", (8,)))
  logits = np.asarray(call(KIND, network, x, time)).reshape(BATCH, 8, CLASSES)
  for position in range(8):
    flat = x.reshape(BATCH, 8)
    changed = flat.at[:, position].set((flat[:, position] + 1) % CLASSES).reshape(x.shape)
    difference = np.abs(np.asarray(call(KIND, network, changed, time)).reshape(logits.shape) - logits).max(axis=(0, 2))
    np.testing.assert_array_equal(difference[: position + 1], 0)
    assert (difference[position + 1 :] > 1e-6).all()


@pytest.mark.parametrize(
  "sizes", [{}, {"conv_width": 3}, {"conv_width": 2, "scan_layers": True}, {"event_shape": (4, 2)}, {"num_layers": 1}]
)
def test_cached_decoding_equals_the_parallel_logits(sizes):
  network = perturb(build(KIND, **sizes))
  x, time = data(sizes.get("event_shape", (8,)))
  flat = x.reshape(BATCH, -1)
  graph, state = nnx.split(network)

  @jax.jit
  def decode(state):
    causal = nnx.merge(graph, state)

    def step(carry, position):
      cache, token = carry
      logits, cache = causal.decode(cache, token, position)
      return (cache, flat[:, position]), logits

    start = (causal.init_cache(BATCH), jnp.full((BATCH,), CLASSES))
    return jax.lax.scan(step, start, jnp.arange(flat.shape[1]))[1].swapaxes(0, 1)

  parallel = call(KIND, network, x, time).reshape(BATCH, -1, CLASSES)
  assert np.std(parallel) > 0.1
  np.testing.assert_allclose(decode(state), parallel, atol=1e-5)
