"""The paper's text network against its published sizes and against its equations."""

import math

import jax
import numpy as np
import pytest
from flax import nnx

from catgen.networks import TRUNKS
from catgen.networks.roles import Denoiser
from tests.networks.members import CLASSES, build, call, data


@pytest.mark.parametrize(
  ("classes", "length", "window", "parameters"),
  [(27, 256, 128, 51_545_116), pytest.param(256, 320, 80, 51_756_289, marks=pytest.mark.slow)],
)
def test_parameter_counts_are_the_papers(classes, length, window, parameters):
  recipe = TRUNKS["local_linear_transformer"](window=window)
  abstract = nnx.eval_shape(lambda: Denoiser(recipe, (length,), classes, classes, rngs=nnx.Rngs(0)))
  assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(abstract))) == parameters


def test_the_network_equals_its_equations_in_float64():
  network = build("local_linear_transformer", event=(8,), width=16, num_heads=4, window=4)
  x, time = data(event=(8,))
  weights = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), nnx.to_pure_dict(nnx.state(network)))["stack"]
  expected = np.stack([forward(weights, row, t) for row, t in zip(x, time, strict=True)])
  np.testing.assert_allclose(call(network, (x, time)), expected, rtol=1e-4, atol=1e-4)


def forward(w, x, time):
  """One example through the equations, window 4, so that two windows see each other wholly."""
  width, heads = 16, 4
  table, w = w["read_in"]["embedding"], w["trunk"]
  positions = np.array([w["window_positions"][i // 4] + w["inner_positions"][i % 4] for i in range(len(x))])
  h = table[x] + positions
  phases = 4000 * np.float64(np.float32(time)) * np.exp(-np.arange(width // 2) * math.log(1e4) / (width // 2 - 1))
  vector = np.concatenate([np.sin(phases), np.cos(phases)])
  vectors = linear(w["time_output"], np.log1p(np.exp(linear(w["time_hidden"], vector)))).reshape(-1, width)
  for i in range(len(vectors)):
    h = block(w["blocks"][i], h + vectors[i], heads)
  assert w["head"]["output"]["kernel"].shape == (width, CLASSES)
  return linear(w["head"]["output"], norm(w["norm"], h)) * w["head"]["scale"]


def block(w, h, heads):
  query, key, value = np.split(linear(w["query_key_value"], norm(w["attention_norm"], h)), 3, axis=-1)
  dim, outputs = h.shape[-1] // heads, []
  for i in range(heads):
    q, k, v = (x[:, i * dim : (i + 1) * dim] for x in (query, key, value))
    if i < heads // 2:
      outputs.append(softmax(q @ k.T / np.sqrt(dim), 1) @ v)
    else:
      outputs.append(softmax(q, 1) / np.sqrt(dim) @ (softmax(k, 0).T @ v))
  h = h + linear(w["attention_output"], np.concatenate(outputs, axis=-1))
  hidden = linear(w["mlp_hidden"], norm(w["mlp_norm"], h))
  erf = np.vectorize(math.erf)
  return h + linear(w["mlp_output"], hidden * 0.5 * (1 + erf(hidden / np.sqrt(2))))


def linear(w, x):
  return x @ w["kernel"] + w.get("bias", 0.0)


def norm(w, x):
  centered = x - x.mean(axis=-1, keepdims=True)
  return centered / np.sqrt(centered.var(axis=-1, keepdims=True) + 1e-5) * w["scale"] + w["bias"]


def softmax(x, axis):
  return np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)
