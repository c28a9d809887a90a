"""Small networks whose parameters are all moved by noise: at zero gates and heads every statement would be empty."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from catgen.networks import NETWORKS

BATCH, EVENT, CLASSES = 3, (8,), 5
SIZES: dict[str, dict[str, Any]] = {
  "transformer": {"width": 16, "num_layers": 2, "num_heads": 2, "time_width": 8},
  "local_linear_transformer": {"width": 16, "num_layers": 2, "num_heads": 4, "window": 2},
  "causal_transformer": {"width": 16, "num_layers": 2, "num_heads": 2},
}
MAP = (4, 8)
MAP_SIZES: dict[str, dict[str, Any]] = {
  "unet": {"event_shape": MAP, "widths": (8, 16), "num_layers": 1, "num_heads": 2, "time_width": 8},
  "linear_attention_unet": {"event_shape": MAP, "width": 8, "multipliers": (1, 2)},
}


def build(kind: str, **sizes: Any) -> nnx.Module:
  return nnx.merge(*_build(kind, tuple(sorted(sizes.items()))), copy=True)


@functools.cache
def _build(kind: str, sizes: tuple) -> tuple:
  keywords = {
    "event_shape": EVENT,
    "num_inputs": CLASSES,
    "num_outputs": CLASSES,
    **(SIZES | MAP_SIZES)[kind],
    **dict(sizes),
  }
  return nnx.split(NETWORKS[kind].make(**keywords, rngs=nnx.Rngs(0)))


def perturb(network: nnx.Module, scale: float = 0.3) -> nnx.Module:
  leaves, structure = jax.tree.flatten(nnx.state(network))
  rng = np.random.default_rng(7)
  moved = [jnp.asarray(np.asarray(x) + scale * rng.normal(size=x.shape), jnp.float32) for x in leaves]
  nnx.update(network, jax.tree.unflatten(structure, moved))
  return network


def data(event: tuple[int, ...] = EVENT) -> tuple[jax.Array, jax.Array]:
  x = np.random.default_rng(1).integers(CLASSES, size=(BATCH, *event))
  return jnp.asarray(x), jnp.linspace(0.1, 0.9, BATCH)


def call(kind: str, network: nnx.Module, x: jax.Array, time: jax.Array, **keywords: Any) -> jax.Array:
  """Calls either kind of network, compiled once: a causal one is told no time."""
  return _call(*nnx.split(network), kind, x, time, **keywords)


@functools.partial(jax.jit, static_argnums=(0, 2))
def _call(graph: Any, state: Any, kind: str, x: jax.Array, time: jax.Array, **keywords: Any) -> jax.Array:
  network = nnx.merge(graph, state)
  return network(x, **keywords) if kind.startswith("causal") else network(x, time, **keywords)


def gradient(kind: str, network: nnx.Module, x: jax.Array, time: jax.Array, **keywords: Any) -> tuple[Any, Any]:
  """Returns a scalar of the logits and its gradient with respect to every parameter, as a pure dict."""
  value, state = _gradient(*nnx.split(network), kind, x, time, **keywords)
  return value, nnx.to_pure_dict(state)


@functools.partial(jax.jit, static_argnums=(0, 2))
def _gradient(graph: Any, state: Any, *arguments: Any, **keywords: Any) -> tuple[Any, Any]:
  return jax.value_and_grad(lambda state: jnp.sum(jnp.sin(_call(graph, state, *arguments, **keywords))))(state)
