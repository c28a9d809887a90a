"""Parameters that nothing is compiled for, at the start or away from it: programs of random draws take long."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx


def _as_jax(values: np.ndarray, dtype: Any) -> jax.Array:
  """Returns values as an array of JAX; told no dtype, `jnp.asarray` would compile a program for each shape."""
  return jnp.asarray(values.astype(dtype), dtype)


@contextlib.contextmanager
def drawn_by_numpy() -> Iterator[None]:
  """Has initializers draw by NumPy, so that neither draws nor their keys are traced or compiled for."""
  random = np.random.default_rng(0)

  def normal(key: Any, shape: Any = (), dtype: Any = np.float32) -> jax.Array:
    return _as_jax(random.normal(size=shape), dtype)

  def uniform(key: Any, shape: Any = (), dtype: Any = np.float32, minval: Any = 0.0, maxval: Any = 1.0) -> jax.Array:
    return _as_jax(random.uniform(minval, maxval, size=shape), dtype)

  def orthogonal(key: Any, n: int) -> jax.Array:
    return _as_jax(np.linalg.qr(random.normal(size=(n, n)))[0], np.float32)

  with (
    mock.patch.multiple(jax.random, normal=normal, uniform=uniform, orthogonal=orthogonal),
    mock.patch.object(nnx.RngStream, "__call__", lambda stream: stream.key[...]),
  ):
    yield


def filled(shapes: Any, scale: float = 1.0, *, scales: dict[str, float] | None = None, seed: int = 1) -> Any:
  """Returns float32 numbers in the shapes of a tree, as arrays of NumPy.

  Square matrices are near orthogonal ones, others have deviation `scale` over the root of their number of inputs, the
  scales of norms are about one, and everything else is a tenth of `scale`.

  Args:
    shapes: a tree of arrays or of what `jax.eval_shape` returns.
    scale: the deviation, see above.
    scales: another one for the leaves whose path matches a regular expression; the first that does counts.
    seed: of the noise.
  """
  random, scales = np.random.default_rng(seed), scales or {}

  def numbers(path: Any, leaf: Any) -> np.ndarray:
    name, noise = jax.tree_util.keystr(path), random.normal(size=leaf.shape)
    deviation = next((own for pattern, own in scales.items() if re.search(pattern, name)), scale)
    if len(leaf.shape) < 2:
      noise = 0.1 * deviation * noise + bool(re.search(r"(?<!log_)scale'\]", name))
    elif len(leaf.shape) == 2 and leaf.shape[0] == leaf.shape[1]:
      noise = np.linalg.qr(noise)[0] + 0.1 * deviation * random.normal(size=leaf.shape)
    else:
      noise = deviation * noise / np.sqrt(np.prod(leaf.shape[:-1]))
    return noise.astype(np.float32)

  return jax.tree_util.tree_map_with_path(numbers, shapes)
