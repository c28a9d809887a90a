"""Attention of noisy blocks against plain attention of each block over the keys that it sees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.kernels.attention import attend_plainly
from catgen.kernels.block_attention import attend_blocks

BATCH, BLOCKS, SLOTS, KEYS, HEADS, DIM = 2, 3, 4, 6, 2, 8
FORM = jax.jit(attend_blocks, static_argnames="causal")
PLAIN = jax.jit(attend_plainly)


def draw(dtype=np.float32):
  rng = np.random.default_rng(0)
  own, clean = (BATCH, BLOCKS, SLOTS, HEADS, DIM), (BATCH, KEYS, HEADS, DIM)
  return tuple((2 * rng.normal(size=shape)).astype(dtype) for shape in (own, own, own, clean, clean))


def by_block(query, key, value, clean_key, clean_value, seen, visible):
  """Returns the attention of each block over the sequence and itself put together, [batch, blocks, slots, ...]."""
  seen, found = np.broadcast_to(seen, (BATCH, BLOCKS, KEYS)), []
  for block in range(BLOCKS):
    keys, values = (
      np.concatenate([clean, own[:, block]], axis=1) for clean, own in ((clean_key, key), (clean_value, value))
    )
    counts = np.concatenate([seen[:, block], visible[:, block]], axis=1)
    found.append(PLAIN(query[:, block], keys, values, valid=counts))
  return np.stack(found, axis=1)


@pytest.mark.parametrize("alike", [True, False])
def test_a_block_sees_its_part_of_the_sequence_and_what_is_visible_of_itself(alike):
  rng = np.random.default_rng(1)
  seen = rng.random((1 if alike else BATCH, BLOCKS, KEYS)) < 0.5
  seen[:, 0] = False  # as the first block sees nothing
  visible = rng.random((BATCH, BLOCKS, SLOTS)) < 0.5
  visible[:, :, 0] = True
  arrays = draw()
  found = FORM(arrays[:3], arrays[3:], seen=seen, visible=visible)
  np.testing.assert_allclose(found, by_block(*arrays, seen, visible), rtol=1e-5, atol=1e-5)


def test_a_causal_block_is_the_end_of_a_causal_sequence():
  query, key, value, clean_key, clean_value = (array[:, :1] if array.ndim == 5 else array for array in draw())
  seen = np.ones((1, 1, KEYS), bool)
  found = FORM((query, key, value), (clean_key, clean_value), seen=seen, causal=True)[:, 0]
  keys, values = (np.concatenate(each, axis=1) for each in ((clean_key, key[:, 0]), (clean_value, value[:, 0])))
  for slot in range(SLOTS):
    upto = KEYS + slot + 1
    one = PLAIN(query[:, 0, slot : slot + 1], keys[:, :upto], values[:, :upto])
    np.testing.assert_allclose(found[:, slot : slot + 1], one, rtol=1e-5, atol=1e-5)


def test_half_precision_sums_in_float32_and_large_scores_do_no_harm():
  seen, visible = np.ones((1, BLOCKS, KEYS), bool), np.ones((BATCH, BLOCKS, SLOTS), bool)
  halves = tuple(jnp.asarray(array, jnp.bfloat16) for array in draw())
  found = FORM(halves[:3], halves[3:], seen=seen, visible=visible)
  assert found.dtype == jnp.bfloat16
  expected = by_block(*(np.float32(array) for array in halves), seen, visible)
  np.testing.assert_allclose(np.float32(found), expected, rtol=3e-2, atol=3e-2)
  query, key, value, *clean = draw()
  assert np.isfinite(FORM((np.float32(1e4) * query, key, value), tuple(clean), seen=seen, visible=visible)).all()
