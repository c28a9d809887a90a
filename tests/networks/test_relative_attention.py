"""Attention by distances against its definition, in float64: codes, the shift, clamped distances, equal reach."""

import jax
import numpy as np
import pytest
from flax import nnx

from catgen.networks.conditions import Conditions
from catgen.networks.parts.relative_attention import Distances, aligned, distance_codes
from tests.networks.members import build

WIDTH, HEADS = 8, 2


def test_codes_are_sines_and_then_cosines_of_waves_from_short_to_long():
  codes = distance_codes(50, WIDTH)
  for distance in (0, 1, 49):
    for wave in range(WIDTH // 2):
      angle = distance * 10_000 ** (-2 * wave / WIDTH)
      np.testing.assert_allclose(codes[distance, [wave, wave + WIDTH // 2]], [np.sin(angle), np.cos(angle)], atol=1e-12)


@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (4, 4), (3, 7), (1, 5)])
def test_scores_by_distance_are_moved_to_their_keys(queries, keys):
  by_distance = np.random.default_rng(0).normal(size=(2, 3, queries, keys)).astype(np.float32)  # from far to near
  found = np.asarray(jax.jit(aligned)(by_distance))
  for i in range(queries):
    for j in range(keys):
      distance = i + keys - queries - j
      if distance >= 0:
        np.testing.assert_array_equal(found[..., i, j], by_distance[..., i, keys - 1 - distance])


def weights(linear):
  return np.asarray(linear.kernel[...], np.float64)


def by_definition(attention, h, memory, u, v, max_distance, reach):
  """Returns the attention of every position, one score after the other."""
  read = np.concatenate([memory, h], axis=1)
  dim, size = WIDTH // HEADS, memory.shape[1]
  codes = distance_codes(read.shape[1], WIDTH)
  query, key, value = h @ weights(attention.query), read @ weights(attention.key), read @ weights(attention.value)
  mixed = np.zeros_like(h)
  for b, i, head in np.ndindex(len(h), h.shape[1], HEADS):
    own, scores = slice(head * dim, (head + 1) * dim), []
    for j in range(size + i + 1):
      away = size + i - j
      code = (codes[away if max_distance is None else min(away, max_distance)] @ weights(attention.distance))[own]
      q, k = query[b, i, own], key[b, j, own]
      score = (q @ k + q @ code + u[head] @ k + v[head] @ code) / np.sqrt(dim)
      scores.append(score if reach is None or away <= reach else -np.inf)
    shares = np.exp(scores - np.max(scores))
    mixed[b, i, own] = shares / shares.sum() @ value[b, : size + i + 1, own]
  return mixed @ weights(attention.output)


@pytest.mark.parametrize(
  ("size", "max_distance", "reach"),
  [(0, None, None), (3, None, None), pytest.param(5, 4, None, marks=pytest.mark.slow), (5, 4, 3)],
)
def test_attention_is_what_its_four_terms_say(size, max_distance, reach):
  attention = build("transformer_xl", "causal").stack.trunk.layers.blocks[0].attention
  random = np.random.default_rng(1)
  h, memory = random.normal(size=(2, 4, WIDTH)), random.normal(size=(2, size, WIDTH))
  u, v = random.normal(size=(2, HEADS, WIDTH // HEADS))
  number = 4 + size if max_distance is None else max_distance + 1
  given = [x.astype(np.float32) for x in (distance_codes(number, WIDTH), u, v)]
  found = attended(attention, h.astype(np.float32), memory.astype(np.float32), given, reach)
  np.testing.assert_allclose(found, by_definition(attention, h, memory, u, v, max_distance, reach), atol=2e-5)


def attended(attention, h, memory, given, reach):
  graph, state = nnx.split(attention)

  def call(state, h, memory, given):
    return nnx.merge(graph, state)(h, Distances(*given, reach), Conditions(memory=memory))

  return np.asarray(jax.jit(call)(state, h, memory, given))
